import numpy as np
import pytest

from research.figures.bars import bar_charts
from research.figures.functions import Panel, function_curves
from research.figures.heat_maps import heat_maps

pytestmark = pytest.mark.fast


def test_cells_hold_their_numbers_and_nothing_where_there_is_none():
  table = np.array([[1.0, 0.01], [np.nan, 100.0]])
  names = {"rows": ("a", "b"), "columns": ("c", "d")}
  figure = heat_maps(
    {"t": table, "u": table}, title="t", x="x", y="y", log=True, number=".2g", **names, caption=""
  ).figure
  left, right = figure.axes
  assert [text.get_text() for text in left.texts] == ["1", "0.01", "1e+02"]
  assert [tick.get_text() for tick in left.get_yticklabels()] == ["a", "b"]
  assert not any(tick.get_text() for tick in right.get_yticklabels())


def test_a_colour_bar_has_the_name_of_its_shades():
  figure = heat_maps({"t": np.eye(2)}, title="t", x="x", y="y", shades="norm", caption="").figure
  assert not figure.axes[0].texts and figure.axes[1].get_ylabel() == "norm"


def test_cells_without_names_are_counted():
  (axes,) = heat_maps({"t": np.eye(15)}, title="t", x="x", y="y", caption="").figure.axes
  for ticks in (axes.get_xticks(), axes.get_yticks()):
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_a_bar_for_each_name_and_a_panel_for_each_quantity():
  panels = {"steps": {"a": 10, "b": 1000}, "seconds": {"a": 1.5}}
  figure = bar_charts(panels, title="t", x="x", log=True, caption="").figure
  assert [axes.get_ylabel() for axes in figure.axes] == ["steps", "seconds"]
  assert [bar.get_height() for bar in figure.axes[0].patches] == [10, 1000]
  assert [text.get_text() for text in figure.axes[0].texts] == ["10", "1e+03"]


def test_lying_bars_go_to_the_right_and_the_first_is_on_top():
  panels = {"BLEU": {"a long name": 10, "b": 1000}}
  (axes,) = bar_charts(panels, title="t", x="", lying=True, caption="").figure.axes
  assert [bar.get_width() for bar in axes.patches] == [10, 1000]
  assert axes.get_xlabel() == "BLEU" and axes.yaxis_inverted()
  assert [label.get_text() for label in axes.get_yticklabels()] == ["a long name", "b"]


def test_panels_have_points_ranges_and_axes_of_their_own():
  line = (np.arange(3), np.arange(3))
  panels = [
    Panel("y", {"a": line}, points={"days": line}, y_range=(None, 9)),
    Panel("z", {"b": line}, x="own"),
    Panel("y", {}),
    Panel("y", {"a": line}),
  ]
  figure = function_curves(panels, title="t", x="x", rows=2, caption="").figure
  assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "x", "x"]
  assert figure.axes[0].get_ylim()[1] == 9
  assert [line.get_label() for line in figure.axes[0].lines] == ["days", "a"]
  one_row = function_curves(panels[:2], title="t", x="x", caption="").figure
  assert [axes.get_xlabel() for axes in one_row.axes] == ["x", "own"]


def test_panels_of_one_scale_show_all_curves_and_places_have_names():
  line = lambda top: {"a": ([0, 1], [0, top])}
  panels = [Panel("y", line(1), ticks=("left", "right")), Panel("y", line(50))]
  figure = function_curves(panels, title="t", x="x", share_y=True, caption="").figure
  low, high = figure.axes
  assert low.get_ylim() == high.get_ylim() and high.get_ylim()[1] > 50
  assert [tick.get_text() for tick in low.get_xticklabels()] == ["left", "right"]
