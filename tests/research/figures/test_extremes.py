"""Axes of learning curves under values that no experiment hopes for."""

import math

import numpy as np
import pytest

from research.figures import curves, scales
from research.figures.functions import Panel, function_curves
from research.figures.histograms import histogram_grid
from research.figures.policies import returns_by_game
from research.training import Fit

VALUES = {
  "chance": [0.0972] * 5,
  "nothing": [0.0] * 5,
  "everything": [1.0] * 5,
  "rising": [0.1, 0.5, 0.9, 0.95, 0.98],
  "falling": [0.98, 0.95, 0.9, 0.5, 0.1],
  "just above": [0.9, 0.901, 0.9001, 0.90001, 0.900001],
  "single": [0.3],
  "broken": [0.5, None, None, None, None],
  "none": [None] * 5,
  "huge": [1e30, 1e35, 1e30, 1e25, 1e30],
  "tiny": [1e-30, 1e-32, 1e-30, 1e-31, 1e-30],
  "infinite": [1.0, math.inf, 2.0, 3.0, math.inf],
}


def rows(name, metric):
  values = VALUES[name]
  return [
    {"fit": "train", "step": step, f"{split}/{metric}": value}
    for step, value in enumerate(values)
    for split in ("train", "test")
  ]


def check(figure):
  """No axis is upside down; none is empty but says so; steps are counted; text is there to read."""
  figure.draw_without_rendering()
  for axes in figure.axes:
    if not axes.get_visible():
      continue
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < right and bottom < top
    points = np.concatenate([np.asarray(line.get_xydata(), float) for line in axes.lines])
    seen = [
      (x, y) for x, y in points if left <= x <= right and bottom <= y <= top and np.isfinite(y)
    ]
    finite = np.isfinite(points).all(axis=1)
    assert seen if finite.any() else scales.NOTHING in [text.get_text() for text in axes.texts]
    assert all(tick == round(tick) for tick in axes.get_xticks())
    labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
    assert any(labels) or not axes.get_yaxis().get_visible()
    sizes = [label.get_size() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    assert min(sizes) >= 8


@pytest.mark.parametrize("floor", [None, 0.0, 0.9])
@pytest.mark.parametrize("name", [n for n in VALUES if n not in ("huge", "infinite")])
def test_an_accuracy_panel_is_upright_and_shows_every_end(name, floor):
  picture = curves.learning_curves(
    rows(name, "accuracy"), title="t", caption="", accuracy_floor=floor
  )
  check(picture.figure)
  bottom, top = picture.figure.axes[0].get_ylim()
  lasts = [value for value in VALUES[name] if value is not None and math.isfinite(value)][-1:]
  assert bottom < top and all(bottom <= last <= top for last in lasts)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_a_loss_panel_is_never_empty(name, log):
  picture = curves.learning_curves(rows(name, "loss"), title="t", caption="", log_loss=log)
  check(picture.figure)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_compared_curves_are_never_empty(name, log):
  fits = {"a": [rows(name, "loss")] * 2, "b": [rows(name, "loss")]}
  check(curves.compare_curves(fits, "test/loss", title="t", caption="", log=log).figure)
  panels = {"first": fits, "second": fits}
  check(
    curves.compare_panels(panels, "test/loss", title="t", columns=2, caption="", log=log).figure
  )


def test_a_narrow_logarithmic_axis_has_plain_numbers():
  fit = [{"fit": "train", "step": n, "train/loss": v} for n, v in enumerate((2.9, 2.5, 1.3))]
  figure = curves.learning_curves(fit, title="t", caption="", log_loss=True).figure
  figure.draw_without_rendering()
  labels = [label.get_text() for label in figure.axes[0].get_yticklabels(which="both")]
  assert {"2", "1"} & set(labels) and not any("10^" in label for label in labels)


@pytest.mark.parametrize("values", [v for v in VALUES.values() if None not in v] + [[math.nan] * 3])
@pytest.mark.parametrize("y_range", [(None, None), (10.0, 100.0)])
def test_panels_of_functions_are_never_empty(values, y_range):
  panel = Panel("p", {"f": (np.arange(len(values)), np.array(values))}, y_range=y_range)
  figure = function_curves([panel], title="t", x="x", caption="").figure
  figure.draw_without_rendering()
  (axes,) = figure.axes
  low, high = axes.get_ylim()
  is_seen = any(low <= value <= high for value in values if math.isfinite(value))
  assert low < high
  assert is_seen or any(scales.NOTHING in text.get_text() for text in axes.texts)


@pytest.mark.parametrize("values", [[0.0] * 4, [math.nan] * 4, [1.0, math.inf, 2.0], [1e30, -1e30]])
@pytest.mark.parametrize("value_range", [None, (0.0, 1.0)])
def test_histograms_stand_for_any_values(values, value_range):
  layers = {"case": [np.array(values)]}
  figure = histogram_grid(layers, title="t", x="x", value_range=value_range, caption="").figure
  figure.draw_without_rendering()
  low, high = figure.axes[0].get_ylim()
  assert 0 == low < high


@pytest.mark.parametrize("values", [[-5.0, -3.0], [0.0, 0.0], [2.0, 40.0]])
def test_returns_of_any_sign_are_seen(values):
  rows = [{"fit": "train", "step": n, "test/return": value} for n, value in enumerate(values)]
  fit = Fit("train", None, None, rows, lambda: None, None)
  figure = returns_by_game(
    {"game": fit}, {"game": values[0]}, title="t", baseline="b", frames_per_step=4, caption=""
  ).figure
  low, high = figure.axes[0].get_ylim()
  assert low < high and all(low <= value <= high for value in [0.0, *values])


@pytest.mark.filterwarnings("error")
def test_a_logarithmic_panel_without_positive_values_is_linear():
  panel = Panel("p", {"f": (np.arange(1, 4), np.zeros(3))}, log="xy")
  figure = function_curves([panel], title="t", x="x", caption="").figure
  figure.draw_without_rendering()
  assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "linear")
