"""Sequence tasks whose answers are known: dates, reversal, addition, long lags.

Pairs are {"source": int32 [n, s], "target": int32 [n, t]}; padding is 0, and a target stands
between the marks of `research.data.text.vocabulary`. All are functions of a seed.
"""

import calendar
import datetime
from collections.abc import Callable, Collection

import numpy as np

from research.data.spec import Arrays
from research.data.text.vocabulary import MARKS, Vocabulary, padded
from research.errors import UserError

LETTERS = Vocabulary((*MARKS, *"abcdefghijklmnopqrstuvwxyz"))
DIGITS = Vocabulary((*MARKS, *"0123456789+"))
DATE_CHARACTERS = Vocabulary(
  (
    *MARKS,
    *sorted(
      set(
        "0123456789 ,./-"
        + "".join(calendar.month_name)
        + "".join(calendar.day_name)
        + "thestndrdof".lower()
      )
    ),
  )
)
DRAWS = 20  # until the examples to be judged by are complete
DATE_LENGTHS = (32, 12)  # of the longest source, and of a target with its marks


def ordinal(day: int) -> str:
  """1st, 2nd, 3rd, 4th ..."""
  ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
  return f"{day}{ending}"


DATE_FORMATS = (
  lambda d: f"{d.day} {calendar.month_name[d.month]} {d.year}",
  lambda d: f"{calendar.month_name[d.month]} {d.day}, {d.year}",
  lambda d: f"{calendar.month_name[d.month]} {ordinal(d.day)}, {d.year}",
  lambda d: f"the {ordinal(d.day)} of {calendar.month_name[d.month]} {d.year}",
  lambda d: f"{d.day} {calendar.month_abbr[d.month]} {d.year}",
  lambda d: f"{calendar.month_abbr[d.month]} {d.day} {d.year}",
  lambda d: f"{calendar.day_name[d.weekday()]}, {d.day} {calendar.month_name[d.month]} {d.year}",
  lambda d: f"{calendar.day_abbr[d.weekday()]} {calendar.month_abbr[d.month]} {d.day} {d.year}",
  lambda d: f"{d.day}.{d.month}.{d.year}",
  lambda d: f"{d.month:02d}/{d.day:02d}/{d.year}",
  lambda d: f"{d.year}/{d.month}/{d.day}",
)


def dates(
  count: int, seed: int, *, without: Collection[str] = ()
) -> tuple[Arrays, list[tuple[str, str]]]:
  """Dates of 1900 to 2099 in eleven ways, to be written as 2004-07-09; and the pairs as text.

  Args:
    count: pairs.
    seed: of the draw.
    without: days that do not occur, each written as 2004-07-09.

  Raises:
    UserError: where that leaves no day.
  """
  rng = np.random.default_rng(seed)
  first = datetime.date(1900, 1, 1).toordinal()
  last = datetime.date(2099, 12, 31).toordinal()
  taken = [datetime.date.fromisoformat(day).toordinal() for day in set(without)]
  days = np.setdiff1d(np.arange(first, last + 1), taken)
  if not len(days):
    raise UserError("the training dates hold every day from 1900 to 2099; take fewer of them")
  pairs = []
  for number, way in zip(
    days[rng.integers(len(days), size=count)],
    rng.integers(len(DATE_FORMATS), size=count),
    strict=True,
  ):
    date = datetime.date.fromordinal(int(number))
    pairs.append((DATE_FORMATS[way](date), date.isoformat()))
  longest_source, longest_target = DATE_LENGTHS
  source = [DATE_CHARACTERS.encode(text) for text, _ in pairs]
  target = [DATE_CHARACTERS.encode(text) for _, text in pairs]
  return {
    "source": padded(source, longest_source),
    "target": padded(target, longest_target, begin=True, end=True),
  }, pairs


def held_out(
  make: Callable[[int, int], Arrays], count: int, seed: int, train: Arrays, name: str = "source"
) -> Arrays:
  """Examples whose input stands nowhere in the training set.

  Args:
    make: (count, seed) -> examples.
    count: examples.
    seed: of the first draw; further ones fill the places of those that are in the training set.
    train: the training set.
    name: of the input.

  Raises:
    UserError: where the task has too few inputs for that.
  """
  seen = {row.tobytes() for row in train[name]}
  found: list[Arrays] = []
  for draw in range(DRAWS):
    made = make(count, seed + draw * 1_000_000)
    is_new = np.array([row.tobytes() not in seen for row in made[name]])
    found.append({key: array[is_new] for key, array in made.items()})
    if sum(len(part[name]) for part in found) >= count:
      return {key: np.concatenate([part[key] for part in found])[:count] for key in made}
  raise UserError(
    f"nearly all inputs of this task are among the {len(train[name]):,} training examples, and "
    f"{count} others to be judged by are needed; take fewer --examples, or longer inputs"
  )


def reversal(count: int, seed: int, lengths: tuple[int, int]) -> Arrays:
  """Random letters, to be written backwards; lengths from the first to the second, inclusive."""
  shortest, longest = lengths
  rng = np.random.default_rng(seed)
  sizes = rng.integers(shortest, longest + 1, count)
  rows = [rng.integers(len(MARKS), len(LETTERS), size) for size in sizes]
  return {
    "source": padded(rows, longest),
    "target": padded([row[::-1] for row in rows], longest + 2, begin=True, end=True),
  }


def addition(count: int, seed: int, digits: int) -> Arrays:
  """Two numbers of up to `digits` digits, such as 12+345, and their sum."""
  rng = np.random.default_rng(seed)
  pairs = rng.integers(0, 10**digits, (count, 2))
  return {
    "source": padded([DIGITS.encode(f"{a}+{b}") for a, b in pairs], 2 * digits + 1),
    "target": padded(
      [DIGITS.encode(str(a + b)) for a, b in pairs], digits + 3, begin=True, end=True
    ),
  }


def long_lag(count: int, seed: int, lag: int, symbols: int = 8) -> Arrays:
  """A symbol, `lag` distractors, and the question which symbol it was.

  {"tokens": int32 [n, lag + 2], "label": int32 [n]}: symbols are 0 to `symbols` - 1, distractors
  the next as many, and the question is 2 * `symbols`.
  """
  rng = np.random.default_rng(seed)
  label = rng.integers(symbols, size=count)
  noise = rng.integers(symbols, 2 * symbols, (count, lag))
  question = np.full((count, 1), 2 * symbols)
  tokens = np.concatenate([label[:, None], noise, question], axis=1)
  return {"tokens": tokens.astype(np.int32), "label": label.astype(np.int32)}


def two_followers(vocabulary: int, seed: int, count: int = 40_000) -> np.ndarray:
  """A text of `count` letters, each one of two that may follow the two before it.

  No model's perplexity on it is below 2. Letters are the numbers below `vocabulary`.
  """
  rng = np.random.default_rng(seed)
  follows = rng.integers(vocabulary, size=(vocabulary, vocabulary, 2))
  text = [0, 1]
  for which in rng.integers(2, size=count - 2):
    text.append(int(follows[text[-2], text[-1], which]))
  return np.asarray(text, np.int32)
