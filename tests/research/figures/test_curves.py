import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from research.figures.curves import (
  compare_curves,
  compare_panels,
  learning_curves,
  metric_panels,
  running_mean,
  series,
  split_panels,
)
from research.training import Fit

pytestmark = pytest.mark.fast

ROWS = [
  {"fit": "train", "step": 600 * epoch, "train/loss": 1 / (1 + epoch), "test/accuracy": epoch / 10}
  for epoch in range(8)
]


def fit_of(rows, steps_per_epoch):
  """A finished fit with these rows."""
  return Fit("net", None, None, rows, None, SimpleNamespace(steps_per_epoch=steps_per_epoch))


def legend(figure):
  return [text.get_text() for text in figure.legends[0].get_texts()]


def test_learning_curves_draw_the_rows_in_epochs():
  loss, accuracy = learning_curves(
    fit_of(ROWS, 600), title="net", epochs=True, caption=""
  ).figure.axes
  np.testing.assert_allclose(loss.get_lines()[0].get_xdata(), range(8))
  np.testing.assert_allclose(
    accuracy.get_lines()[0].get_ydata(), [row["test/accuracy"] for row in ROWS]
  )
  assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss (nats)")
  assert accuracy.get_ylabel() == "accuracy (%)"


def test_panels_of_metrics_share_an_axis_by_rows():
  rows = [{"step": step, "a/x": 1.0 + step, "b/y": 100.0 + step} for step in range(3)]
  metrics = {"one": "a/x", "two": "a/x", "three": "b/y"}
  figure = metric_panels({"net": [rows]}, metrics, title="t", y="y", columns=2, caption="").figure
  one, two, three, none = figure.axes
  assert one.get_ylim() == two.get_ylim() != three.get_ylim()
  assert [axes.get_title() for axes in (one, two, three)] == list(metrics)
  assert not none.get_visible()


def test_only_the_splits_that_are_asked_for_are_drawn():
  figure = learning_curves(ROWS, title="net", splits=("test",), caption="").figure
  assert [axes.get_title() for axes in figure.axes] == ["accuracy"]


def test_fits_of_unlike_epochs_share_an_axis_of_epochs():
  slow = [{"step": step, "loss": 1.0} for step in (0, 30, 60)]
  fast = [{"step": step, "loss": 2.0} for step in (0, 3, 6)]
  fits = {"slow": fit_of(slow, 30), "fast": [fit_of(fast, 3)]}
  axes = compare_curves(fits, "loss", title="two", epochs=True, from_step=1, caption="").figure.axes
  for line in axes[0].get_lines():
    np.testing.assert_allclose(line.get_xdata(), [1, 2])
  with pytest.raises(TypeError, match="epoch"):
    compare_curves({"rows": [slow]}, "loss", title="two", epochs=True, caption="")


def test_every_curve_of_every_panel_is_in_the_legend_once():
  rows = [*ROWS, {"fit": "train", "step": 1, "train/accuracy": 0.2}]
  assert sorted(legend(learning_curves(rows, title="net", caption="").figure)) == ["test", "train"]
  two_fits = ROWS + [{**row, "fit": "fine-tune"} for row in ROWS]
  assert "fine-tune: train" in legend(learning_curves(two_fits, title="net", caption="").figure)


def test_only_batches_of_training_are_smoothed():
  loss, accuracy = learning_curves(ROWS, title="net", window=4, caption="").figure.axes
  smooth = running_mean(np.array([row["train/loss"] for row in ROWS]), 4)
  np.testing.assert_allclose(loss.get_lines()[0].get_ydata(), smooth)
  np.testing.assert_allclose(
    accuracy.get_lines()[0].get_ydata(), [row["test/accuracy"] for row in ROWS]
  )


def test_panels_without_numbers_are_left_out():
  rows = [{"fit": "train", "step": 1, "train/loss": 2.0}, {"fit": "train", "step": 2}]
  assert [
    axes.get_title() for axes in learning_curves(rows, title="net", caption="").figure.axes
  ] == ["loss"]
  with pytest.raises(ValueError, match="loss"):
    learning_curves([{"step": 1}], title="net", caption="")


def test_neighbouring_curves_differ_in_more_than_colour():
  histories = {str(index): [ROWS] for index in range(12)}
  lines = (
    compare_curves(histories, "train/loss", title="many", caption="").figure.axes[0].get_lines()
  )
  shapes = [(line.get_marker(), str(line._dash_pattern)) for line in lines]
  assert all(a != b for a, b in itertools.pairwise(shapes))
  assert len({(line.get_color(), *shape) for line, shape in zip(lines, shapes, strict=True)}) == 12


def test_the_band_is_one_standard_deviation_over_seeds():
  seeds = [[{"step": step, "loss": float(value)} for step in (1, 2)] for value in (1, 3)]
  seeds[1].append({"step": 3, "loss": 9.0})
  axes = compare_curves({"sgd": seeds}, "loss", title="race", caption="").figure.axes[0]
  np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), [[1, 2], [2, 2]])
  heights = axes.collections[0].get_paths()[0].vertices[:, 1]
  assert (heights.min(), heights.max()) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))


def test_a_band_of_positive_values_stays_positive():
  seeds = [[{"step": step, "loss": value} for step in (1, 2)] for value in (0.01, 0.02, 9.0)]
  axes = compare_curves({"sgd": seeds}, "loss", title="race", log=True, caption="").figure.axes[0]
  assert axes.collections[0].get_paths()[0].vertices[:, 1].min() == pytest.approx(0.01)


def test_panels_share_their_axes_and_have_their_own_curves():
  seeds = lambda value: [[{"step": s, "loss": value + n * s} for s in (1, 2)] for n in (0, 1)]
  panels = {name: {"net": seeds(value)} for name, value in (("a", 1.0), ("b", 10.0))}
  first, second, third = compare_panels(
    panels, "loss", title="two", columns=3, caption=""
  ).figure.axes
  assert (first.get_title(), second.get_title()) == ("a", "b") and not third.get_visible()
  np.testing.assert_allclose(second.get_lines()[0].get_ydata(), [10.5, 11])
  assert first.get_ylim() == second.get_ylim() and first.get_ylim()[1] > 11


def test_splits_are_told_apart_in_every_panel():
  rows = [{"step": s, "train set/accuracy": 1.0, "test/accuracy": 0.5} for s in (0, 3, 6)]
  figure = split_panels(
    {"a": fit_of(rows, 3), "b": [fit_of(rows, 3)]}, ("train set", "test"), title="two", caption=""
  ).figure
  assert legend(figure) == ["train set", "test"]
  for axes in figure.axes:
    np.testing.assert_allclose(axes.get_lines()[1].get_xydata(), [[0, 0.5], [1, 0.5], [2, 0.5]])


def test_histories_without_the_metric_are_named():
  with pytest.raises(ValueError, match=r"'adam'.*'test/loss'"):
    compare_curves({"adam": [ROWS]}, "test/loss", title="race", caption="")


def test_running_mean_is_over_the_last_values_only():
  values = np.array([1.0, np.inf, 3.0, 5.0, 7.0])
  np.testing.assert_allclose(running_mean(values, 2), [1, np.inf, np.inf, 4, 6])
  np.testing.assert_allclose(running_mean(np.arange(5.0), 3), [0, 0.5, 1, 2, 3])
  assert len(running_mean(np.array([]), 3)) == 0


def test_null_is_a_gap():
  steps, values = series([{"step": 1, "loss": None}, {"step": 2}, {"step": 3, "loss": 1.0}], "loss")
  np.testing.assert_array_equal(steps, [1, 3])
  np.testing.assert_array_equal(values, [np.nan, 1.0])
