"""Texts and sentence pairs as experiments learn them: divided, cut into tokens, numbered."""

import json
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from research.data.spec import Arrays
from research.data.text import byte_pairs, catalogs, language, sentences
from research.data.text.sentences import Pair, Parts, Tokeniser, Words
from research.errors import UserError

FEWEST_PAIRS = 100


def text(path: str, seed: int) -> tuple[str, str]:
  """A text to learn, and the tenth of it that is held out.

  A file's last tenth; without a path the English lines of `catalogs.load`, each once, in an order
  drawn by the seed. Raises UserError where the file cannot be read.
  """
  if path:
    whole = language.text_of_file(path)
  else:
    lines = list(dict.fromkeys(" ".join(english.split()) for english, _ in catalogs.load()))
    order = np.random.default_rng(seed).permutation(len(lines))
    whole = "\n".join(lines[index] for index in order)
  end = len(whole) * 9 // 10
  return whole[:end], whole[end:]


def pairs(path: str, longest: int) -> list[Pair]:
  """Sentence pairs of 2 to `longest` words, of a file or of `catalogs.load`.

  Raises UserError where they are fewer than 100.
  """
  messages = catalogs.messages_of_file(path) if path else catalogs.load()
  found = sentences.pairs_of(messages, longest)
  if len(found) < FEWEST_PAIRS:
    raise UserError(
      f"{len(found)} pairs of 2 to {longest} words are too few to learn from; "
      f"give {FEWEST_PAIRS} or more, or a larger --longest"
    )
  return found


class Corpus(NamedTuple):
  """Sentence pairs as a translator learns them.

  Attributes:
    parts: the pairs as words.
    read: the tokeniser of the sources.
    write: that of the targets.
    arrays: by part, as `sentences.arrays_of` has them; those to learn from sorted by length.
  """

  parts: Parts
  read: Tokeniser
  write: Tokeniser
  arrays: dict[str, Arrays]

  @property
  def files(self) -> dict[str, str]:
    """Files that a run folder keeps of it, by name: both tokenisers, a checksum of the pairs."""
    checksum = sha256(json.dumps(self.parts).encode()).hexdigest()
    tokens = {"source_tokens.json": self.read.to_json(), "target_tokens.json": self.write.to_json()}
    return tokens | {"pairs.sha256": checksum + "\n"}


def corpus(pairs: list[Pair], tokens: str, vocabulary: int, most: int, seed: int) -> Corpus:
  """The pairs, divided by the seed; the tokenisers know the training part alone.

  Args:
    pairs: of which some are learned from, some chosen by, and some reported on.
    tokens: "words", or "pieces" for byte pairs.
    vocabulary: different tokens on either side, marks included.
    most: tokens of the longest sentences; longer ones are cut.
    seed: of the division.
  """
  parts = sentences.divided(pairs, seed)
  read = tokeniser([pair.source for pair in parts.train], tokens, vocabulary)
  write = tokeniser([pair.target for pair in parts.train], tokens, vocabulary)
  lengths = lengths_of([*parts.train, *parts.validation, *parts.test], read, write, most)
  ordered = parts._replace(train=sentences.by_length(parts.train))._asdict()
  arrays = {name: sentences.arrays_of(part, read, write, lengths) for name, part in ordered.items()}
  return Corpus(parts, read, write, arrays)


def tokeniser(texts: list[Words], tokens: str, vocabulary: int) -> Tokeniser:
  """The tokeniser of one side of the training pairs, of "words" or of "pieces"."""
  learn = sentences.whole_words if tokens == "words" else byte_pairs.learn
  return learn(texts, vocabulary)


def lengths_of(pairs: list[Pair], read: Tokeniser, write: Tokeniser, most: int) -> tuple[int, int]:
  """Tokens of the longest source, and of the longest target with its marks; `most` at most."""
  source = max(len(read.encode(pair.source)) for pair in pairs)
  target = max(len(write.encode(pair.target)) for pair in pairs)
  return min(source, most), min(target + 2, most)
