import numpy as np
import pytest

from research.analysis.error_gaps import (
  BIAS,
  DEV,
  GAPS,
  MISMATCH,
  OVERUSED,
  SETS,
  TEST,
  TRAIN,
  TRAIN_DEV,
  VARIANCE,
  Errors,
  gap_table,
  gaps,
  largest_gap,
  largest_of,
)
from research.analysis.shares import Count

pytestmark = pytest.mark.fast


def test_the_whole_table_has_the_gaps_of_the_five_errors():
  wrong = dict(zip(SETS, (60, 80, 190, 200), strict=True))
  table = gap_table(0.02, {name: Count(number, 1000) for name, number in wrong.items()})
  assert [gap.name for gap in table] == list(GAPS)
  wanted = gaps(Errors(0.02, 0.06, 0.08, 0.19, 0.2))
  assert {gap.name: gap.rise for gap in table} == pytest.approx(wanted)
  assert largest_of(table).name == MISMATCH == largest_gap(Errors(0.02, 0.06, 0.08, 0.19, 0.2))
  assert largest_of(table).largest > 0.99 and sum(gap.largest for gap in table) == pytest.approx(1)
  assert all(gap.interval.low < gap.rise < gap.interval.high for gap in table)


@pytest.mark.parametrize(
  ("there", "is_like", "causes"),
  [
    ((TRAIN, TEST), False, [(BIAS,), (VARIANCE, MISMATCH)]),
    ((TRAIN, DEV), False, [(BIAS,), (VARIANCE, MISMATCH)]),
    ((TRAIN, DEV, TEST), False, [(BIAS,), (VARIANCE, MISMATCH), (OVERUSED,)]),
    ((TRAIN, DEV, TEST), True, [(BIAS,), (VARIANCE,), (MISMATCH, OVERUSED)]),
    ((TRAIN, TRAIN_DEV, DEV), False, [(BIAS,), (VARIANCE,), (MISMATCH,)]),
    ((TRAIN, TRAIN_DEV, TEST), False, [(BIAS,), (VARIANCE,), (MISMATCH,)]),
  ],
)
def test_what_a_missing_set_cannot_tell_apart_stays_together(there, is_like, causes):
  counts = {name: Count(1, 10) for name in there}
  table = gap_table(0.0, counts, dev_is_like_train=is_like)
  assert [gap.causes for gap in table] == causes
  assert [gap.after for gap in table] == list(there)
  assert all(gap.to_try for gap in table)


def test_the_share_of_draws_is_the_chance_that_a_gap_is_the_largest():
  """Two gaps of equal size, of few examples: by exact enumeration of the binomials."""
  counts = {TRAIN: Count(2, 10), DEV: Count(4, 10)}
  from scipy.stats import binom

  chance = lambda k, share: binom.pmf(k, 10, share)
  exact = sum(
    chance(a, 0.2) * chance(b, 0.4) for a in range(11) for b in range(11) if a / 10 >= (b - a) / 10
  )  # a tie goes to the first
  assert gap_table(0.0, counts)[0].largest == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 2000))
