"""Bar charts."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import PANEL_INCHES, label_axes, legend_below, new_figure, stroke
from research.report import Picture


def bar_charts(
  panels: Mapping[str, Mapping[str, float]],
  *,
  title: str,
  x: str,
  log: bool = False,
  number: str = ".3g",
  lying: bool = False,
  caption: str,
  file: str = "bar_charts",
) -> Picture:
  """A panel for each quantity, which names its vertical axis, and in it a bar for each name.

  Every value stands over its bar in the format `number`. With `log` the vertical axes are
  logarithmic. Bars that are `lying` are drawn from left to right, below each other, which leaves
  room for long names.
  """
  most = max(map(len, panels.values()))
  inches = (6.6, 0.9 + 0.34 * most) if lying else PANEL_INCHES
  figure, grid = new_figure(title, columns=len(panels), panel_inches=inches)
  for index, (axes, (y, values)) in enumerate(zip(grid[0], panels.items(), strict=True)):
    draw = (
      functools.partial(axes.barh, height=0.6) if lying else functools.partial(axes.bar, width=0.6)
    )
    bars = draw(list(values), list(values.values()), color=stroke(index).colour)
    axes.bar_label(bars, [format(value, number) for value in values.values()], fontsize=9)
    if log:
      (axes.set_xscale if lying else axes.set_yscale)("log")
    if lying:
      axes.invert_yaxis()
    axes.margins(**{"x" if lying else "y": 0.15})
    label_axes(axes, *((y, x) if lying else (x, y)))
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
