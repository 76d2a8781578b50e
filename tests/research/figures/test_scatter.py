"""Points of the plane over contours, and values in columns."""

import numpy as np
import pytest

from research.figures.scatter import Contours, scatter_panels, strip_panels

pytestmark = pytest.mark.fast


def test_points_stand_over_the_contours_and_cast_shadows():
  points = np.array([[0.1, 0.2], [0.4, 0.9]])
  ticks = np.linspace(0, 1, 5)
  hill = Contours(ticks, ticks, ticks[:, None] + ticks[None], (0.5, 1.0))
  names = {"title": "t", "x": "a", "y": "b", "caption": ""}
  panels = {"one": {"p": points}, "two": {"p": points, "q": points + 1}}
  left, right = scatter_panels(panels, contours=hill, **names).figure.axes
  np.testing.assert_array_equal(left.lines[0].get_xydata(), points)
  assert len(left.lines) == 1 and len(right.lines) == 2
  assert [label.get_text() for label in (left.yaxis.label, right.yaxis.label)] == ["b", ""]
  (axes,) = scatter_panels({"": {"": points}}, shadows=True, **names).figure.axes
  (strokes,) = axes.collections
  assert [path[0][0] for path in strokes.get_segments()] == [0.1, 0.4]


def test_a_strips_line_is_its_mean_and_on_a_log_scale_the_geometric_one():
  panels = {"one": {"a": [1, 100], "b": [3, 5]}}
  names = {"title": "t", "y": "y", "caption": ""}
  for log, means in ((False, [50.5, 4]), (True, [10, 15**0.5])):
    (axes,) = strip_panels(panels, log=log, **names).figure.axes
    np.testing.assert_allclose([line.get_ydata()[0] for line in axes.lines[1::2]], means)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
  left, right = strip_panels({"x": {"a": [1]}, "y": {"a": [9]}}, **names).figure.axes
  low, high = left.get_ylim()
  assert (low, high) == right.get_ylim() and low < 1 and high > 9
