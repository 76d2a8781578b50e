"""Every figure function: texts of 9 pixels on a page, axes upright and filled, nothing cut off."""

import importlib
import inspect
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from research.figures import (
  attention_maps,
  bars,
  boxes,
  confusion,
  curves,
  differences,
  dot_plots,
  fields,
  filters,
  functions,
  graphs,
  heat_maps,
  histograms,
  image_grids,
  intervals,
  masks,
  paths,
  policies,
  regions,
  scatter,
  signal_flow,
  sweeps,
  texts,
)
from research.report import Picture
from research.training import Fit
from tests.fixtures import legible

ROWS = [
  {"step": n, "train/loss": 1 / (n + 1), "test/accuracy": n / 9, "test/return": n - 5.0}
  for n in range(9)
]
RUNS = {"adam": [ROWS, ROWS], "sgd with momentum": [ROWS]}
RNG = np.random.default_rng(0)
LINE = (np.arange(9), np.arange(9) ** 2.0)
PLANE = (np.linspace(-2, 2, 9), np.linspace(-1, 1, 7))
MAP = attention_maps.Map(np.eye(4), ["the", "cat", "sat", "down"], list("abcd"))
AXES = [
  sweeps.Axis("optimizer.learning_rate", "log", [0.1, 0.5, 0.9], [(0.0, "1e-4"), (1.0, "0.1")]),
  sweeps.Axis("batch_size", "choice", [0.2, 0.8, 0.2], [(0.2, "16"), (0.8, "32")]),
]
SCORES = [0.9, 0.8, 0.2]
FIT = Fit("train", None, None, ROWS, lambda: None, None)
LAYERS = [(np.ones((2, 3)), np.ones(3)), (np.ones((3, 2)), np.ones(2))]
SIGNALS = [np.ones(2), np.ones(3), np.ones(2)]
MOST = 6  # panels, so that a figure is as wide as any
MANY = [f"panel {n}" for n in range(MOST)]
EXAMPLES = [
  partial(attention_maps.attention_maps, {"one": MAP, "two": MAP}),
  partial(bars.bar_charts, {"seconds": {"one": 1.0, "two": 2.0}}, x="kind"),
  partial(bars.grouped_bars, {"one": [1.0, 2.0], "two": [2.0, 1.0]}, ["a", "b"], x="x", y="y"),
  partial(
    boxes.boxes_on_images,
    255 * RNG.random((5, 64, 64)),
    {
      "truth": [boxes.Boxed(np.array([[2, 4, 30, 30], [30, 20, 60, 50]]), "38")] * 5,
      "found": [boxes.Boxed(np.array([[20, 4, 44, 30]]), ["3 0.97"])] * 5,
    },
  ),
  partial(confusion.confusion_matrix, np.diag([5, 4, 3])),
  partial(curves.learning_curves, ROWS),
  partial(curves.compare_curves, RUNS, "test/accuracy"),
  partial(curves.compare_panels, dict.fromkeys(MANY, RUNS), "train/loss", columns=3),
  partial(curves.metric_panels, RUNS, dict.fromkeys(MANY, "train/loss"), y="loss", columns=3),
  partial(differences.compare_pairs, {"a less b": np.array([0.1, 0.3])}, x="points"),
  partial(differences.paired_values, np.ones(3), np.arange(3.0), ["before", "after"], y="y"),
  partial(
    dot_plots.dot_plot,
    {"net": {"W1": 1e-09, "b1": 0.001}},
    x="difference",
    least=1e-12,
    marks={"bar": 1e-05},
  ),
  partial(fields.arrow_field, RNG.normal(size=(9, 2)), RNG.normal(size=(9, 2)), axis_names="xy"),
  partial(
    fields.contour_paths,
    *PLANE,
    np.add.outer(PLANE[1] ** 2, PLANE[0] ** 2),
    {"down": np.ones((3, 2))},
    axis_names="xy",
  ),
  partial(filters.filter_montage, dict.fromkeys(MANY[:2], RNG.normal(size=(3, 3, 1, 9)))),
  partial(
    functions.function_curves, [functions.Panel("y", {"f": LINE}, title=name) for name in MANY]
  ),
  partial(functions.errors_through_time, {"a": np.arange(1, 9.0)}),
  partial(
    functions.spread_curves, {"a": (np.arange(1, 5), RNG.random((4, 3)))}, x="x", y="y", log_x=True
  ),
  partial(
    graphs.computational_graph,
    {f"m{n}": "×" for n in range(9)},
    [
      graphs.Edge("a", "m0", 1, 1),
      *(graphs.Edge(f"m{n}", f"m{n + 1}", 0.1234, 0.2345) for n in range(8)),
      graphs.Edge("m8", None, 1, 1),
    ],
  ),
  partial(
    heat_maps.heat_maps,
    dict.fromkeys(MANY, np.eye(3)),
    x="x",
    y="y",
    rows=["up", "middle", "down"],
    shades="value",
  ),
  partial(
    histograms.histogram_grid,
    {"Xavier": [RNG.normal(size=50)] * MOST, "zeros": [np.zeros(5)] * MOST},
    x="activation",
  ),
  partial(histograms.compare_histograms, {"before": {"a": RNG.normal(size=50)}}, y="share"),
  partial(image_grids.image_grid, RNG.random((12, 8, 8)), captions=["airplane\n→ automobile"] * 12),
  partial(image_grids.misclassified_gallery, RNG.random((4, 8, 8)), [0, 1, 2, 3], [1, 1, 1, 3]),
  partial(
    intervals.interval_rows,
    {"a long name": (1.0, 0.5, 2.0), "b": (3.0, 2.0, 4.0)},
    x="x",
    level=1.5,
  ),
  partial(
    masks.mask_grid,
    np.zeros((3, 8, 8, 1), np.uint8),
    {"truth": np.arange(192).reshape(3, 8, 8) % 11, "8s": np.zeros((3, 8, 8), int)},
  ),
  partial(
    paths.descent_paths,
    lambda x, y: x**2 / 20 + y**2,
    dict.fromkeys(MANY[:3], np.array([[-1, 1], [0, 0.5]])),
    x_range=(-2, 2),
    y_range=(-2, 2),
    minimum=(0, 0),
  ),
  partial(
    policies.values_over_frames,
    RNG.random((5, 8, 8, 3)),
    RNG.random((5, 3)),
    ["left", "stay", "up"],
  ),
  partial(policies.value_map, {"table": RNG.random((4, 4))}, ["S.", "#G"]),
  partial(
    policies.returns_by_game,
    dict.fromkeys(["asterix", "breakout", "freeway", "seaquest", "invaders"], FIT),
    dict.fromkeys(["asterix", "breakout", "freeway", "seaquest", "invaders"], 1.0),
    baseline="paper",
    frames_per_step=4,
  ),
  partial(
    regions.decision_regions,
    {"AND": (np.add.outer(PLANE[1], PLANE[0]) > 0, [0, 1])},
    *PLANE,
    np.array([[0, 0], [1, 0.5]]),
    axis_names=("x1", "x2"),
  ),
  partial(
    scatter.scatter_panels, {name: {"a": RNG.random((5, 2))} for name in MANY[:4]}, x="x", y="y"
  ),
  partial(
    scatter.strip_panels, {"panel": {"random": [0.9, 0.8], "ASHA": [0.7, 0.9]}}, y="accuracy"
  ),
  partial(signal_flow.signal_flow, LAYERS, SIGNALS, names=["x", "h", "y"]),
  partial(signal_flow.array_shapes, {"one": {"x": (2,), "W": (2, 3), "y": (3,)}}),
  partial(
    sweeps.best_curves,
    [
      sweeps.Curves(f"{n}. trial {n}: 98.12 %", {"test/accuracy": [0.5, 0.9]}) for n in range(1, 11)
    ],
    "accuracy",
  ),
  partial(sweeps.parameters_against_score, AXES, SCORES, "test/accuracy"),
  partial(sweeps.parallel_coordinates, AXES, SCORES, "test/accuracy"),
  partial(sweeps.importance, ["learning_rate", "beta1"], [0.5, 0.1], [0.1, 0.05]),
  partial(sweeps.budget_against_best, [1, 2, 3], [0.5, 0.6, 0.9], "test/accuracy"),
  partial(
    texts.images_with_texts, 255 * RNG.random((4, 12, 12, 3)), ["in the upper left a " * 9] * 4
  ),
  partial(texts.text_columns, {"one": ["a line of text"] * 5, "two": ["another"] * 3}),
]
BY_OTHERS = {  # which draw by another one of these
  "sample_rows",
  "interpolation",
  "nearest_pairs",
  "measure_bars",
  "film_of_grids",
  "confusion",
  "misclassified",
  "split_panels",
  "compare_returns",
  "film",
}


@pytest.mark.slow
@pytest.mark.parametrize("draw", EXAMPLES, ids=lambda draw: draw.func.__name__)
def test_a_figure_can_be_read(draw):
  picture = draw(title="A title as long as those of figures are", caption="c")
  assert not legible.problems(picture.figure)


@pytest.mark.fast
def test_every_function_that_draws_has_an_example():
  known, folder = {draw.func for draw in EXAMPLES}, Path(curves.__file__).parent
  for path in folder.glob("*.py"):
    module = importlib.import_module(f"research.figures.{path.stem}")
    for name, function in inspect.getmembers(module, inspect.isfunction):
      is_own = function.__module__ == module.__name__
      if is_own and function.__annotations__.get("return") is Picture and name not in BY_OTHERS:
        assert function in known, f"{path.stem}.{name} has no example here"


@pytest.mark.fast
def test_what_cannot_be_read_is_found():
  figure = Figure(figsize=(20, 3))
  axes = figure.subplots()
  axes.plot([0, 1], [0, 1])
  axes.set_ylim(1, 0)
  axes.set_xlabel("too small", fontsize=8)
  found = legible.problems(figure)
  assert any("'too small' has" in line for line in found)
  assert any("upside down" in line for line in found)
  axes.set_ylim(0, 1)
  axes.text(0.5, 0.5, "crossed", ha="center")
  axes.text(0.1, 0.9, "beside")
  axes.text(0.3, 0.3, "on a ground", backgroundcolor="white")
  axes.annotate("", (0, 0.5), (1, 0.5), arrowprops={"arrowstyle": "->"})
  axes.text(0.9, 0.5, "under an arrow", ha="center", va="center")
  found = [line for line in legible.problems(figure) if "a line goes through" in line]
  assert [line.partition("through ")[2] for line in found] == ["'crossed'", "'under an arrow'"]
  axes.set_ylim(5, 6)
  assert any("no curve is seen" in line for line in legible.problems(figure))
