"""Text as numbers: vocabularies of characters and words, and sentences as padded arrays.

Token 0 is padding everywhere. The marks that follow it are there for texts that begin and end.
"""

import collections
import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Sequence

import numpy as np

PADDING, BEGIN, END, UNKNOWN = 0, 1, 2, 3
MARKS = ("<pad>", "<bos>", "<eos>", "<unk>")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """Tokens by number; the first four are `MARKS`."""

  tokens: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.tokens)

  def encode(self, tokens: Iterable[str]) -> np.ndarray:
    """Numbers of the tokens, int32; those that it does not hold are UNKNOWN."""
    return np.array([self._numbers.get(token, UNKNOWN) for token in tokens], np.int32)

  @functools.cached_property
  def _numbers(self) -> dict[str, int]:
    return {token: number for number, token in enumerate(self.tokens)}

  def decode(self, numbers: Iterable[int]) -> list[str]:
    """Tokens up to the end mark, without padding; numbers that name none are unknown."""
    tokens = []
    for number in numbers:
      if number == END:
        break
      if number not in (PADDING, BEGIN):
        tokens.append(self.tokens[number if number < len(self) else UNKNOWN])
    return tokens

  def to_json(self) -> str:
    """Returns the text of its file in a run folder: the list of the tokens behind the marks."""
    return json.dumps(self.tokens[len(MARKS) :], ensure_ascii=False, indent=0) + "\n"


def vocabulary(tokens: Iterable[str], *, most: int | None = None, at_least: int = 1) -> Vocabulary:
  """The tokens that occur `at_least` so often, the frequent first (ties in order of the text)."""
  counts = collections.Counter(tokens)
  kept = [token for token, times in counts.most_common() if times >= at_least]
  return Vocabulary((*MARKS, *kept[:most]))


CHARACTERS_OF_UNICODE = 0x110000 - 0x800  # the surrogates stand for none


def naming_nats(known: Vocabulary, train: str, text: str) -> np.ndarray:
  """Returns the nats needed to say which character each UNKNOWN of `text` is, float64 [characters].

  Known ones cost nothing more. An unknown one is told by its share of the unknown characters of
  `train`; one that is not there by an escape (Witten and Bell 1991, method C: as likely as there
  are different characters among so many) and evenly among all of Unicode.
  """
  counts = collections.Counter(train)
  for token in known.tokens:
    counts.pop(token, None)
  total = counts.total() + len(counts)
  escape = math.log(CHARACTERS_OF_UNICODE) + (math.log(total / len(counts)) if counts else 0.0)
  costs = {name: math.log(total / count) for name, count in counts.items()} | dict.fromkeys(
    known.tokens, 0.0
  )
  return np.array([costs.get(character, escape) for character in text])


def padded(
  rows: Sequence[np.ndarray], length: int, *, begin: bool = False, end: bool = False
) -> np.ndarray:
  """Rows of numbers as one int32 array [rows, length]; what is too long is cut, the marks kept.

  Raises ValueError where the length has no room for the marks.
  """
  room = length - begin - end
  if room < 0:
    raise ValueError(f"length={length} has no room for {begin + end} marks")
  made = np.zeros((len(rows), length), np.int32)
  for index, row in enumerate(rows):
    marked = [*[BEGIN] * begin, *row[:room], *[END] * end]
    made[index, : len(marked)] = marked
  return made
