"""Functions of one variable, side by side."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from research.figures.curves import draw_curve
from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture


class Panel(NamedTuple):
  """Curves that share their axes.

  Attributes:
    y: name of the vertical axis, with its unit.
    curves: by name, each a pair of x [n] and y [n].
    title: above the panel.
    log: the axes that are logarithmic, "y" or "xy"; what is not positive is left out.
    dot: a point (x, y) to mark.
  """

  y: str
  curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
  title: str = ""
  log: str = ""
  dot: tuple[float, float] | None = None


def function_curves(
  panels: Sequence[Panel],
  *,
  title: str,
  x: str,
  stacked: bool = False,
  caption: str,
  file: str = "function_curves",
) -> Picture:
  """Panels beside each other, or above each other with one x axis where `stacked`.

  A curve has the same look in every panel.
  """
  rows, columns = (len(panels), 1) if stacked else (1, len(panels))
  inches = (6.4, 2.5) if stacked else (4.6, 3.6)
  figure, grid = new_figure(title, rows, columns, panel_inches=inches)
  names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
  for axes, panel in zip(grid.flat, panels, strict=True):
    for name, (inputs, values) in panel.curves.items():
      index = names.index(name)
      draw_curve(
        axes,
        np.asarray(inputs),
        np.asarray(values),
        name=name,
        look=stroke(index),
        offset=index / len(names),
      )
      for axis, numbers in ((axes.xaxis, inputs), (axes.yaxis, values)):
        if np.issubdtype(np.asarray(numbers).dtype, np.integer):
          axis.set_major_locator(MaxNLocator(integer=True))
    if panel.dot:
      axes.plot(*panel.dot, "o", markersize=9, markerfacecolor="white", markeredgecolor=INK)
    is_lowest = not stacked or panel is panels[-1]
    label_axes(axes, x if is_lowest else "", panel.y, panel.title)
    if "x" in panel.log:
      axes.set_xscale("log", nonpositive="mask")
    if "y" in panel.log:
      axes.set_yscale("log", nonpositive="mask")
    if stacked:
      axes.sharex(grid[0, 0])
  legend_below(figure)
  return Picture(file, figure, caption)


def spread_curves(
  curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
  *,
  title: str,
  x: str,
  y: str,
  log_x: bool = False,
  caption: str,
  file: str = "spread_curves",
) -> Picture:
  """Means over repetitions, with bars of one standard deviation.

  Args:
    curves: by name, each a pair of x [n] and y [n, repetition].
    title: above the figure.
    x: name of the horizontal axis, with its unit.
    y: that of the vertical axis.
    log_x: whether the horizontal axis is logarithmic.
  """
  figure, grid = new_figure(title, panel_inches=(6.4, 3.9))
  for number, (name, (inputs, values)) in enumerate(curves.items()):
    look, each = stroke(number), np.asarray(values)
    grid[0, 0].errorbar(
      np.asarray(inputs),
      each.mean(axis=1),
      yerr=each.std(axis=1, ddof=1),
      color=look.colour,
      linestyle=look.dashes,
      marker=look.marker,
      capsize=3,
      label=name,
    )
  if log_x:
    grid[0, 0].set_xscale("log")
  label_axes(grid[0, 0], x, y)
  legend_below(figure)
  return Picture(file, figure, caption)
