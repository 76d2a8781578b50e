"""Functions of one variable with the data behind them, and dots in rows."""

import numpy as np

from research.figures.dot_plots import dot_plot
from research.figures.functions import Panel, function_curves


def test_a_panel_holds_its_points_its_bands_and_its_own_axis_name():
  x = np.arange(3)
  plain = Panel("y", {"a": (x, x)})
  rich = Panel(
    "y", {"a": (x, x)}, x="time", points={"data": (x, 2 * x)}, bands={"a": (x - 1, x + 1)}
  )
  figure = function_curves([plain, rich], title="t", x="x", caption="").figure
  left, right = figure.axes
  assert (left.get_xlabel(), right.get_xlabel()) == ("x", "time")
  np.testing.assert_array_equal(right.lines[0].get_ydata(), 2 * x)
  assert len(left.lines) == 1 and not left.collections
  (band,) = right.collections
  assert (band.get_paths()[0].vertices[:, 1].min(), band.get_datalim(right.transData).y1) == (-1, 3)


def test_dots_have_a_row_each_and_none_falls_off_the_axis():
  groups = {"one": {"w": 1e-3, "b": 1e-20}, "two": {"w": 1e-5}}
  look = {"title": "t", "x": "x", "least": 1e-9, "marks": {"great": 1e-7}, "caption": ""}
  (axes,) = dot_plot(groups, **look).figure.axes
  dots = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
  assert dots["one"] == [[1e-3, 0], [1e-9, 1]] and dots["two"] == [[1e-5, 2]]
  assert [label.get_text() for label in axes.get_yticklabels()] == ["w", "b", "w"]


def test_level_lines_are_named_and_those_beyond_the_axis_are_left_out():
  x = np.arange(3)
  panel = Panel("y", {"a": (x, x)}, y_range=(0, 4), levels={"guess": 3.0, "far": 9.0})
  (axes,) = function_curves([panel], title="t", x="x", caption="").figure.axes
  assert [text.get_text() for text in axes.texts] == ["guess"]
  np.testing.assert_array_equal(axes.lines[-1].get_ydata(), [3, 3])


def test_a_common_scale_holds_the_values_of_all_panels():
  x = np.arange(3)
  panels = [Panel("y", {"a": (x, high + x)}, ticks=("p", "q", "r")) for high in (100, 0, -50)]
  figure = function_curves(panels, title="t", x="x", share_y=True, caption="").figure
  for low, high in (axes.get_ylim() for axes in figure.axes):
    assert low < -50 and high > 102
