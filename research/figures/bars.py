"""Bar charts."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import label_axes, legend_below, new_figure, stroke
from research.report import Picture


def bar_charts(
  panels: Mapping[str, Mapping[str, float]],
  *,
  title: str,
  x: str,
  log: bool = False,
  number: str = ".3g",
  caption: str,
  file: str = "bar_charts",
) -> Picture:
  """A panel for each quantity, which names its vertical axis, and in it a bar for each name.

  Every value stands over its bar in the format `number`. With `log` the vertical axes are
  logarithmic.
  """
  figure, grid = new_figure(title, columns=len(panels))
  for index, (axes, (y, values)) in enumerate(zip(grid[0], panels.items(), strict=True)):
    bars = axes.bar(list(values), list(values.values()), color=stroke(index).colour, width=0.6)
    axes.bar_label(bars, [format(value, number) for value in values.values()], fontsize=9)
    if log:
      axes.set_yscale("log")
    axes.margins(y=0.15)
    label_axes(axes, x, y)
  return Picture(file, figure, caption)


def grouped_bars(
  groups: Mapping[str, ArrayLike],
  names: Sequence[str],
  *,
  title: str,
  x: str,
  y: str,
  caption: str,
  file: str = "grouped_bars",
) -> Picture:
  """For each of `names` along the horizontal axis a bar of every group, [names] values each."""
  figure, grid = new_figure(title, panel_inches=(6.4, 3.4))
  width = 0.8 / len(groups)
  for number, (group, values) in enumerate(groups.items()):
    places = np.arange(len(names)) + width * (number - (len(groups) - 1) / 2)
    colour, hatch = stroke(number).colour, "//" if number % 2 else ""
    grid[0, 0].bar(
      places, np.asarray(values), 0.95 * width, color=colour, hatch=hatch, label=group, ec="white"
    )
  grid[0, 0].set_xticks(range(len(names)), names)
  label_axes(grid[0, 0], x, y)
  legend_below(figure)
  return Picture(file, figure, caption)
