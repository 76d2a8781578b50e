import math

import numpy as np
import pytest

from research.analysis.paired import paired_difference

pytestmark = pytest.mark.fast


def test_the_test_is_students_on_his_own_data():
  # Student 1908, section IX: extra hours of sleep of ten patients under two drugs.
  first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
  second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
  found = paired_difference(first, second)
  assert found.mean == pytest.approx(1.58)
  assert found.p_value == pytest.approx(0.002833, rel=1e-3)
  assert found.mean - found.half == pytest.approx(0.7001, abs=1e-3)
  assert found.is_sure


def test_equal_differences_cannot_be_judged():
  found = paired_difference(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
  assert found.half == 0 and math.isnan(found.p_value) and not found.is_sure
  rounded = paired_difference(np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.4, 0.5]))
  assert rounded.half == 0 and rounded.mean == pytest.approx(0.2)
  with pytest.raises(ValueError, match="two pairs or more"):
    paired_difference(np.array([1.0]), np.array([2.0]))
