"""Where two curves cross."""

import math

import pytest

from research.analysis.crossings import crossing

pytestmark = pytest.mark.fast


def test_curves_cross_where_a_straight_line_over_the_logarithm_is_zero():
  assert crossing([10, 100, 1000], [3, 2, 1.5], [6, 3, 0.5]) == pytest.approx(10**2.5)
  assert crossing([10, 100], [1, 1], [4, 0]) == pytest.approx(10**1.75)


def test_the_last_crossing_counts_and_a_touch_is_none():
  assert crossing([1, 10, 100, 1000], [0, 0, 0, 0], [1, -1, 1, -1]) == pytest.approx(10**2.5)
  assert crossing([1, 10, 100], [0, 0, 0], [1, 0, -1]) == pytest.approx(10)


@pytest.mark.parametrize("late", [[1, 1], [-1, 1], [-1, -1], [1, 0]])
def test_curves_that_do_not_cross_have_no_place(late):
  assert math.isnan(crossing([1, 10], [0, 0], late))
