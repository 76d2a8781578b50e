import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.analysis.shares import Count, exactly, rise, wilson

pytestmark = pytest.mark.fast

NEWCOMBE = [  # 1998, table II: (a / m, b / n), and the interval of a / m - b / n by method 10
  ((56, 70), (48, 80), (0.0524, 0.3339)),
  ((9, 10), (3, 10), (0.1705, 0.8090)),
  ((10, 10), (0, 20), (0.6791, 1.0)),
  ((10, 10), (0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("after", "before", "wanted"), NEWCOMBE)
def test_differences_have_the_published_intervals(after, before, wanted):
  after, before = Count(*after), Count(*before)
  found, interval = rise(before.share, wilson(before), after.share, wilson(after))
  assert found == pytest.approx(after.share - before.share)
  assert interval == pytest.approx(wanted, abs=5e-5)


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_wilson_interval_ends_where_its_test_is_at_the_level(wrong, right):
  if not wrong + right:
    return
  count = Count(wrong, wrong + right)
  for end in wilson(count):
    if 0 < end < 1:  # the score test's statistic is 1.96 there
      score = abs(count.share - end) / math.sqrt(end * (1 - end) / count.total)
      assert score == pytest.approx(1.959964, abs=1e-4)


def test_a_rise_above_a_known_share_has_the_interval_of_the_other_one():
  count = Count(13, 90)
  found, interval = rise(0.1, exactly(0.1), count.share, wilson(count))
  assert (found, *interval) == pytest.approx(np.array([count.share, *wilson(count)]) - 0.1)
