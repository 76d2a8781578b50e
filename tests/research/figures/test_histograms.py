import numpy as np
import pytest

from research.figures.histograms import compare_histograms, histogram_grid

pytestmark = pytest.mark.fast


def test_a_row_for_each_case_and_a_bar_for_all_values():
  figure = histogram_grid(
    {"a": [np.zeros(4), np.ones(4)], "b": [np.arange(4), np.full(4, 9)]},
    title="t",
    x="x",
    value_range=(0, 2),
    caption="",
  ).figure
  assert len(figure.axes) == 4
  for axes in figure.axes:
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(1)  # 9 is in the last bin
  assert figure.axes[3].patches[-1].get_height() == 1


def test_cases_must_have_equally_many_layers():
  with pytest.raises(ValueError, match=r"\[1, 2\]"):
    histogram_grid({"a": [np.zeros(4)], "b": [np.zeros(4)] * 2}, title="t", x="x", caption="")


def test_samples_over_each_other_have_common_bins_and_looks_of_their_own():
  panels = {"x": {"a": np.arange(4), "b": np.full(3, 9)}, "y": {"c": np.ones(2), "a": np.ones(2)}}
  figure = compare_histograms(panels, title="t", y="share", caption="").figure
  left, right = figure.axes
  a, b = (step.get_data() for step in left.patches)
  np.testing.assert_array_equal(a.edges, b.edges)
  assert a.values.sum() == b.values.sum() == 1 and b.values[-1] == 1
  colours = {step.get_edgecolor() for axes in figure.axes for step in axes.patches}
  assert len(colours) == 3 and right.get_xlabel() == "y"
  assert right.patches[1].get_edgecolor() == left.patches[0].get_edgecolor()
