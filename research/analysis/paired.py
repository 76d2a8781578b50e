"""The difference that a change makes, over pairs of runs that have everything else in common."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from research.figures.differences import half_interval

ROUNDING = 1e-9  # of the values: differences that differ by less are equal


class PairedDifference(NamedTuple):
  """The differences "change minus baseline" of paired measurements.

  Attributes:
    values: one for every pair.
    mean: of them.
    half: half of the mean's 95 % interval (Student's t).
    p_value: of the two-sided paired t-test (Student 1908); NaN where all differences are equal, for
      then there is no spread to judge the mean by.
  """

  values: Float[np.ndarray, " pair"]
  mean: float
  half: float
  p_value: float

  @property
  def is_sure(self) -> bool:
    """Tells whether the 95 % interval lies on one side of zero; never where it has no width."""
    return 0 < self.half < abs(self.mean)


def paired_difference(
  baseline: Float[np.ndarray, " pair"], change: Float[np.ndarray, " pair"]
) -> PairedDifference:
  """The paired difference of two measurements of equal length.

  Raises ValueError for fewer than two pairs.
  """
  from scipy import stats  # takes a second

  values = np.asarray(change, float) - np.asarray(baseline, float)
  half = half_interval(values)
  if np.ptp(values) <= ROUNDING * np.abs([baseline, change]).max():
    half = 0.0  # they are equal but for the rounding of the subtraction
  p_value = float(stats.ttest_1samp(values, 0.0).pvalue) if half else float("nan")
  return PairedDifference(values, float(values.mean()), half, p_value)
