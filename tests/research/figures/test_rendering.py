import itertools
import re

import numpy as np
import pytest

from research.figures.curves import compare_panels, learning_curves
from research.figures.graphs import Edge, computational_graph
from research.figures.heat_maps import heat_maps
from research.figures.image_grids import image_grid
from research.figures.rendering import NARROW_INCHES, as_narrow_svg, as_svg
from research.figures.scatter import scatter_panels

pytestmark = pytest.mark.fast
ROWS = [{"step": n, "train/loss": 1 / (n + 1), "test/accuracy": n / 9} for n in range(9)]


def curves():
  return learning_curves(ROWS, title="A title that is longer than a phone is wide", caption="")


def test_equal_figures_give_equal_bytes_without_a_date():
  first, second = (as_svg(curves().figure) for _ in range(2))
  assert first == second and b"<dc:date>" not in first


def test_a_phone_has_one_panel_a_row_with_names_of_its_own():
  figure = compare_panels(
    {f"width {n}": {"adam": [ROWS]} for n in range(2)},
    "train/loss",
    title="t",
    columns=2,
    caption="",
  ).figure
  assert as_narrow_svg(figure)
  assert figure.get_figwidth() == NARROW_INCHES
  places = [axes.get_position() for axes in figure.axes]
  assert all(above.y0 > below.y1 for above, below in itertools.pairwise(places))
  assert {axes.get_xlabel() for axes in figure.axes} == {"step"}
  assert {axes.get_ylabel() for axes in figure.axes} == {"train loss"}
  assert len(figure.legends) == 1 and "\n" not in figure._suptitle.get_text()


def test_a_table_of_cells_keeps_the_names_of_its_rows():
  tables = {"one": np.eye(2), "two": np.eye(2)}
  figure = heat_maps(tables, title="t", x="x", y="y", rows=["up", "down"], caption="").figure
  as_narrow_svg(figure)
  for axes in figure.axes:
    assert [text.get_text() for text in axes.get_yticklabels()] == ["up", "down"]


def test_a_drawing_keeps_its_layout_and_images_with_captions_take_another():
  edges = [Edge("a", "m", 1, 1), Edge("b", "m", 1, 1), Edge("m", None, 1, 1)]
  graph = computational_graph({"m": "x"}, edges, title="t", caption="").figure
  assert as_narrow_svg(graph) is None
  images = image_grid(np.eye(3)[None].repeat(10, 0), title="t", captions=["7"] * 10, caption="")
  assert as_narrow_svg(images.figure) and images.figure.get_figwidth() == NARROW_INCHES
  table = image_grid(np.eye(3)[None].repeat(10, 0), title="t", caption="")
  assert as_narrow_svg(table.figure) is None


def test_crowds_and_images_are_pixels_so_that_a_drawing_stays_small():
  points = np.random.default_rng(0).normal(size=(10_000, 2))
  figure = scatter_panels({"p": {"a": points}}, title="t", x="x", y="y", caption="").figure
  assert len(as_svg(figure)) < 300_000
  images = image_grid(np.random.default_rng(0).random((6, 28, 28)), title="t", caption="").figure
  drawing = as_svg(images)
  assert len(re.findall(rb"<image ", drawing)) == 6 and len(drawing) < 400_000
