import numpy as np
import pytest

from research.figures.differences import compare_pairs, half_interval

pytestmark = pytest.mark.fast


def test_the_interval_is_students():
  # 2.776 is the 97.5 % point of t with four degrees of freedom, in any table.
  expected = 2.7764 * np.sqrt(2.5 / 5)
  assert half_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(expected, rel=1e-4)
  with pytest.raises(ValueError, match="two pairs or more, not 1"):
    half_interval(np.array([1.0]))


def test_every_row_shows_its_pairs_and_says_its_mean():
  differences = {"rises": np.array([1.0, 2.0, 3.0]), "falls": np.array([-4.0, -2.0, -3.0])}
  (axes,) = compare_pairs(differences, title="t", x="x (unit)", caption="").figure.axes
  assert [text.get_text() for text in axes.texts] == ["+2.00 ± 2.48", "-3.00 ± 2.48"]
  assert [label.get_text() for label in axes.get_yticklabels()] == list(differences)
  dots = [line.get_xdata() for line in axes.lines if line.get_color() == "#999999"]
  np.testing.assert_array_equal(dots, list(differences.values()))
  assert axes.yaxis_inverted()  # the first name stands on top
