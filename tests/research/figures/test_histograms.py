import numpy as np
import pytest

from research.figures.histograms import histogram_grid

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
