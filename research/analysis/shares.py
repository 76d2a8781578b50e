"""Intervals of shares, such as an error, and of the difference of two."""

import math
from typing import NamedTuple

import scipy.stats


class Count(NamedTuple):
  """The examples of a set that are wrong, and all of them."""

  wrong: int
  total: int

  @property
  def share(self) -> float:
    """The error."""
    return self.wrong / self.total


class Interval(NamedTuple):
  """Both ends of a 95 % interval."""

  low: float
  high: float


def wilson(count: Count) -> Interval:
  """The interval of a share (Wilson 1927).

  Raises:
    ValueError: where the set is empty.
  """
  found = scipy.stats.binomtest(count.wrong, count.total).proportion_ci(method="wilson")
  return Interval(float(found.low), float(found.high))


def exactly(share: float) -> Interval:
  """The interval of a share that is known, such as that of human errors."""
  return Interval(share, share)


def rise(
  before: float, around_before: Interval, after: float, around_after: Interval
) -> tuple[float, Interval]:
  """A share less another one of other examples, and its interval.

  The interval is Newcombe's hybrid score interval (1998, method 10), where those of the shares are
  Wilson's.
  """
  difference = after - before
  low = math.hypot(after - around_after.low, around_before.high - before)
  high = math.hypot(around_after.high - after, before - around_before.low)
  return difference, Interval(difference - low, difference + high)
