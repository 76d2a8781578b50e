"""The gaps between five errors of a classifier, and what each of them says to try next.

Ng, "Structuring machine learning projects", weeks 1 and 2: the errors at human level, on the
training set, on more examples like those (the train-dev set), on examples like those to come (the
dev set), and on others of them that nothing was chosen by (the test set). Avoidable bias asks for a
larger network, a longer training or another architecture; variance for more training data,
regularisation or another architecture; data mismatch for training data that are more like the dev
set's, or made to be; an over-used dev set for a larger one.
"""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from research.analysis.shares import Count, Interval, exactly, rise, wilson

BIAS, VARIANCE = "avoidable bias", "variance"
MISMATCH, OVERUSED = "data mismatch", "over-used dev set"
GAPS = (BIAS, VARIANCE, MISMATCH, OVERUSED)
HUMAN, TRAIN, TRAIN_DEV, DEV, TEST = "human level", "training", "train-dev", "dev", "test"
SETS = (TRAIN, TRAIN_DEV, DEV, TEST)  # each stands above the gap before it, in the order of `GAPS`
TO_TRY: Mapping[str, Sequence[str]] = MappingProxyType(
  {
    BIAS: ("a larger network", "a longer training or a better optimizer", "another architecture"),
    VARIANCE: (
      "more training data",
      "regularisation: weight decay, dropout, augmentation",
      "another architecture",
    ),
    MISMATCH: (
      "a look at how the errors differ from the training data",
      "training data that are more like those to come, or made to be",
    ),
    OVERUSED: ("a larger dev set, drawn anew",),
  }
)
DRAWS = 2000  # of all counts anew


class Errors(NamedTuple):
  """Shares of wrong answers, in the course's order.

  Attributes:
    human: of people, or the least that is possible.
    train: on the training set.
    train_dev: on more data drawn as the training set was, which were not learned from.
    dev: on data such as will be asked about, by which settings are chosen.
    test: on more of those, by which nothing was chosen.
  """

  human: float
  train: float
  train_dev: float
  dev: float
  test: float


def gaps(errors: Errors) -> dict[str, float]:
  """Each error less the one before it, by what the gap is called; negative ones are chance."""
  rises = (after - before for before, after in itertools.pairwise(errors))
  return dict(zip(GAPS, rises, strict=True))


def largest_gap(errors: Errors) -> str:
  """The name of the gap to work on first, one of `GAPS`."""
  found = gaps(errors)
  return max(found, key=lambda name: found[name])


class Gap(NamedTuple):
  """The rise of the error from one set to the next that there is.

  Attributes:
    causes: what it may come from, some of `GAPS`: one, unless a set is missing between the two.
    before: the set with the smaller number in the course's order.
    after: the set with the error that is higher by this gap.
    rise: of the error.
    interval: of the rise.
    largest: share of draws of all counts anew in which this gap is the largest.
  """

  causes: tuple[str, ...]
  before: str
  after: str
  rise: float
  interval: Interval
  largest: float

  @property
  def name(self) -> str:
    """The causes in words."""
    return " or ".join(self.causes)

  @property
  def to_try(self) -> list[str]:
    """Suggestions of the course for all causes, each once."""
    return list(dict.fromkeys(each for cause in self.causes for each in TO_TRY[cause]))


def gap_table(
  human: float, counts: Mapping[str, Count], *, dev_is_like_train: bool = False
) -> list[Gap]:
  """The gaps between the sets that there are, in the course's order.

  Args:
    human: error of people, or the least that is possible; known, or 0 for the most that a gap can
      be.
    counts: by some of `SETS`, the training set among them.
    dev_is_like_train: whether the dev set was held out of the training set, so that mismatch shows
      behind it only.
  """
  there = [name for name in SETS if name in counts]
  shares = {HUMAN: human, **{name: counts[name].share for name in there}}
  around = {HUMAN: exactly(human), **{name: wilson(counts[name]) for name in there}}
  steps = list(itertools.pairwise(shares))
  largest = _times_largest(human, [counts[name] for name in there])
  return [
    Gap(
      _causes(before, after, counts, dev_is_like_train),
      before,
      after,
      *rise(shares[before], around[before], shares[after], around[after]),
      often,
    )
    for (before, after), often in zip(steps, largest, strict=True)
  ]


def largest_of(table: Sequence[Gap]) -> Gap:
  """The gap to work on first."""
  return max(table, key=lambda gap: gap.rise)


def _causes(
  before: str, after: str, counts: Mapping[str, Count], dev_is_like_train: bool
) -> tuple[str, ...]:
  """The names of all gaps from one set to another."""
  place = lambda name: SETS.index(name) + 1 if name in SETS else 0
  found = [*GAPS[place(before) : place(after)]]
  if DEV not in counts and OVERUSED in found:  # nothing was chosen
    found.remove(OVERUSED)
  if dev_is_like_train and MISMATCH in found and after == DEV:
    found.remove(MISMATCH)
  if dev_is_like_train and before == DEV:
    found.insert(0, MISMATCH)
  return tuple(found)


def _times_largest(human: float, counts: Sequence[Count]) -> list[float]:
  """Share of draws of every count anew in which each gap is the largest."""
  rng = np.random.default_rng(0)
  drawn = [rng.binomial(count.total, count.share, DRAWS) / count.total for count in counts]
  rises = np.diff([np.full(DRAWS, human), *drawn], axis=0)
  return list(np.bincount(rises.argmax(axis=0), minlength=len(counts)) / DRAWS)
