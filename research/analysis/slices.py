"""Slices of a set on which a classifier errs more than on the rest of it."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Shaped

from research.analysis.shares import Count, Interval, wilson

LEAST = 10  # examples of a slice that is looked at
FEW_VALUES = 6  # of a column of numbers, each a slice of its own
LEVEL = 0.05  # the chance that any slice is called worse where none is


class Slice(NamedTuple):
  """Examples that have something in common.

  Attributes:
    name: what it is.
    counted: its errors and examples.
    interval: of its error.
    rest: the error of all other examples.
    p: chance of so many errors or more if the slice were drawn from all examples at random
      (Fisher's exact test), times the correction for all slices that were looked at (Holm 1979).
  """

  name: str
  counted: Count
  interval: Interval
  rest: float
  p: float

  @property
  def is_worse(self) -> bool:
    """Tells whether the slice is worse than the rest by more than chance."""
    return self.p < LEVEL


def slice_table(
  members: Mapping[str, Bool[np.ndarray, " examples"]], is_wrong: Bool[np.ndarray, " examples"]
) -> list[Slice]:
  """Compares each slice's error with that of all other examples, the least probable one first.

  Slices of fewer than `LEAST` examples, or of all but so many, are left out.

  Args:
    members: by name, the examples of each slice; slices may overlap.
    is_wrong: for each example.
  """
  total, errors = len(is_wrong), int(is_wrong.sum())
  kept = {name: has for name, has in members.items() if LEAST <= has.sum() <= total - LEAST}
  counts = {name: Count(int(is_wrong[has].sum()), int(has.sum())) for name, has in kept.items()}
  chances = np.array(
    [scipy.stats.hypergeom.sf(own.wrong - 1, total, errors, own.total) for own in counts.values()]
  )
  rows = [
    Slice(name, own, wilson(own), (errors - own.wrong) / (total - own.total), float(p))
    for (name, own), p in zip(counts.items(), holm(chances), strict=True)
  ]
  return sorted(rows, key=lambda row: (row.p, row.rest - row.counted.share))


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
  """Adjusted p-values (Holm 1979): the chance of one false rejection or more stays below each."""
  order = np.argsort(p, kind="stable")
  steps = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
  adjusted = np.empty(len(p))
  adjusted[order] = steps
  return adjusted


def by_value(name: str, column: Shaped[np.ndarray, " examples"]) -> dict[str, np.ndarray]:
  """The slices of a column: one for each text, or for each quarter of the numbers.

  A column of few different numbers has a slice for each; empty texts make none.
  """
  values = np.unique(column)
  if column.dtype.kind not in "fiu" or len(values) <= FEW_VALUES:
    shown = lambda value: f"{value:g}" if column.dtype.kind in "fiu" else str(value)
    return {f"{name} is {shown(value)}": column == value for value in values if shown(value)}
  edges = np.unique(np.quantile(column, (0, 0.25, 0.5, 0.75, 1)))
  quarter = np.searchsorted(edges[1:-1], column, side="left")
  return {
    f"{name} from {low:.4g} to {high:.4g}": quarter == number
    for number, (low, high) in enumerate(itertools.pairwise(edges))
  }
