"""Sentence pairs for translation: made plain, cut into words, divided, and numbered as arrays."""

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from research.data.spec import Arrays
from research.data.text.catalogs import Message
from research.data.text.vocabulary import MARKS, padded, vocabulary

Words = list[str]

# What a program fills in, such as %(name)s, {name} or {{ name }}.
BLANK = re.compile(r"%\(\w*\)[a-z]|%[sdrf]\b|\{\{?[^{}]*\}?\}")
# Markup, addresses, and texts of several paragraphs are no sentences.
FOREIGN = re.compile(r"<[a-z/]|https?:|\\|\n\s*\n")
# Chinese and Japanese are written without blanks between words: each character is one. Han
# characters with their repetition marks, hiragana and katakana, by Unicode's blocks.
UNSPACED = (
  "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
  "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
JOINERS = "\u200c\u200d"  # within a word they choose how its letters join


class Pair(NamedTuple):
  """A sentence and its translation."""

  source: Words
  target: Words


class Parts(NamedTuple):
  """Pairs to learn from, to choose by, and to report on."""

  train: list[Pair]
  validation: list[Pair]
  test: list[Pair]


@functools.cache
def word_pattern() -> re.Pattern[str]:
  """Returns the pattern of a word.

  A word is letters, digits and their marks; a character of `UNSPACED`; or any other sign.

  Marks (Unicode's categories Mn, Mc and Me: vowel signs, accents, points) and `JOINERS` belong to
  the letter that they follow, which `re`'s own \\w does not know. An apostrophe ends the article
  before it.
  """
  of_planes = itertools.chain(range(0x300, 0x20000), range(0xE0100, 0xE01F0))
  marks = "".join(chr(code) for code in of_planes if unicodedata.category(chr(code))[0] == "M")
  more = f"[{marks}{JOINERS}]*"
  letter = rf"[^\W{UNSPACED}]{more}"
  return re.compile(rf"(?:{letter})+'?|[{UNSPACED}]{more}|[^\w\s]")


def words(text: str) -> Words:
  """Lower-case words, elided articles and marks, in NFC; a blank that is filled in later is "@".

  Scripts that are written without blanks are cut as `word_pattern` says where they are Chinese or
  Japanese; Thai, Lao, Khmer and Burmese are not, and a phrase between two blanks is one word.
  """
  text = re.sub(r"&(?=\w)", "", BLANK.sub("@", text))  # the & marks the key that chooses a menu
  plain = unicodedata.normalize("NFC", text.lower().replace("’", "'"))
  return word_pattern().findall(plain)


def pairs_of(messages: Sequence[Message], longest: int) -> list[Pair]:
  """Pairs of 2 to `longest` words on either side, each source once.

  Messages that become equal as words (differing in case, blanks or punctuation) are one, or the
  test would hold what was learnt.
  """
  found: dict[tuple[str, ...], Pair] = {}
  for message in messages:
    if any(FOREIGN.search(side) for side in message):
      continue
    pair = Pair(*map(words, message))
    if all(2 <= len(side) <= longest for side in pair) and pair.source != pair.target:
      spoken = tuple(word for word in pair.source if re.match(r"\w", word))
      found.setdefault(spoken or tuple(pair.source), pair)
  return list(found.values())


def divided(pairs: Sequence[Pair], seed: int, share: float = 0.1) -> Parts:
  """The pairs in three parts, drawn at random: `share` to test, half as many to validate."""
  order = np.random.default_rng(seed).permutation(len(pairs))
  shuffled = [pairs[index] for index in order]
  test = round(share * len(pairs))
  first = test + test // 2
  return Parts(shuffled[first:], shuffled[test:first], shuffled[:test])


class Tokeniser(NamedTuple):
  """Words as numbers, and back; both are pure.

  Attributes:
    size: numbers there are, `research.data.text.vocabulary.MARKS` included.
    encode: of a sentence's words.
    decode: of numbers up to the end mark.
    to_json: what the run folder keeps.
  """

  size: int
  encode: Callable[[Words], np.ndarray]
  decode: Callable[[np.ndarray], Words]
  to_json: Callable[[], str]


def whole_words(sentences: Iterable[Words], size: int) -> Tokeniser:
  """A tokeniser of the most frequent words, `size` numbers with the marks; others are unknown."""
  known = vocabulary((word for words in sentences for word in words), most=size - len(MARKS))
  return Tokeniser(len(known), known.encode, known.decode, known.to_json)


def by_length(pairs: Iterable[Pair]) -> list[Pair]:
  """The pairs, the short ones first."""
  return sorted(pairs, key=lambda pair: len(pair.source) + len(pair.target))


def arrays_of(
  pairs: Sequence[Pair], source: Tokeniser, target: Tokeniser, lengths: tuple[int, int]
) -> Arrays:
  """{"source": int32 [n, lengths[0]], "target": int32 [n, lengths[1]]}, the target with marks."""
  read, written = lengths
  return {
    "source": padded([source.encode(pair.source) for pair in pairs], read),
    "target": padded([target.encode(pair.target) for pair in pairs], written, begin=True, end=True),
  }
