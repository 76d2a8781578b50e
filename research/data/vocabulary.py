"""Text as numbers: vocabularies of characters and words, and sentences as padded arrays.

Token 0 is padding everywhere. The marks that follow it are there for texts that begin and end.
"""

import collections
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from research.errors import UserError

PADDING, BEGIN, END, UNKNOWN = 0, 1, 2, 3
MARKS = ("<pad>", "<bos>", "<eos>", "<unk>")


class Vocabulary(NamedTuple):
  """Tokens by number; the first four are `MARKS`."""

  tokens: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.tokens)

  def encode(self, tokens: Iterable[str]) -> np.ndarray:
    """Numbers of the tokens, int32; those that it does not hold are UNKNOWN."""
    number = {token: index for index, token in enumerate(self.tokens)}
    return np.array([number.get(token, UNKNOWN) for token in tokens], np.int32)

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
    """As a file of the run folder holds it; `from_json` reads it."""
    return json.dumps(self.tokens[len(MARKS) :], ensure_ascii=False, indent=0) + "\n"


def from_json(text: str) -> Vocabulary:
  """The inverse of `Vocabulary.to_json`; raises UserError for another file's content."""
  try:
    tokens = json.loads(text)
    if not all(isinstance(token, str) for token in tokens):
      raise TypeError("a token is no text")
  except (ValueError, TypeError) as error:
    raise UserError(f"not a vocabulary file, which is a JSON list of tokens ({error})") from error
  return Vocabulary((*MARKS, *tokens))


def vocabulary(tokens: Iterable[str], *, most: int | None = None, at_least: int = 1) -> Vocabulary:
  """The tokens that occur `at_least` so often, the frequent first (ties in order of the text)."""
  counts = collections.Counter(tokens)
  kept = [token for token, times in counts.most_common() if times >= at_least]
  return Vocabulary((*MARKS, *kept[:most]))


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
