import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.analysis.error_tags import tag_table

pytestmark = pytest.mark.fast


def test_a_twentieth_of_an_error_of_ten_per_cent_leaves_nine_and_a_half():
  dogs, blur = np.arange(100) < 5, np.arange(100) < 61
  table = tag_table({"dog": dogs, "blur": blur}, error=0.1)
  assert [row.tag for row in table] == ["blur", "dog"]
  assert 0.1 - table[1].gain == pytest.approx(0.095)
  # By hand: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) at p = 0.05.
  assert table[1][1:5] == pytest.approx((5, 0.05, 0.021543, 0.111751), abs=1e-5)


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.floats(0, 1))
def test_shares_lie_in_their_intervals_and_gains_in_the_error(has_it, error):
  (row,) = tag_table({"tag": np.array(has_it)}, error)
  assert 0 <= row.low <= row.share <= row.high <= 1 and 0 <= row.gain <= error
  assert row.errors == sum(has_it)


def test_no_error_is_no_table():
  with pytest.raises(ValueError, match="no wrong answer"):
    tag_table({"tag": np.zeros(0, bool)}, 0.0)
