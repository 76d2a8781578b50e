"""Functions of one variable, side by side."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from research.figures.curves import draw_curve
from research.figures.scales import say_if_empty
from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture

POINT = "#9a9a9a"


class Panel(NamedTuple):
  """Curves that share their axes.

  Attributes:
    y: name of the vertical axis, with its unit.
    curves: by name, each a pair of x [n] and y [n].
    title: above the panel.
    log: the axes that are logarithmic, "x", "y" or "xy"; what is not positive is left out.
    dot: a point (x, y) to mark.
    points: by name, a pair of x [n] and y [n] that are drawn as small grey dots.
    y_range: the ends of the vertical axis; None leaves one to the values.
    x: name of the horizontal axis, where it is not that of all panels.
    bands: by the name of a curve, the lower and the upper edge [n] of a band around it.
    levels: by name, values that are drawn as level lines, named at the right end.
    ticks: names of the places 0, 1, 2, ... on the horizontal axis, in place of numbers.
  """

  y: str
  curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
  title: str = ""
  log: str = ""
  dot: tuple[float, float] | None = None
  points: Mapping[str, tuple[ArrayLike, ArrayLike]] = MappingProxyType({})
  y_range: tuple[float | None, float | None] = (None, None)
  x: str = ""
  bands: Mapping[str, tuple[ArrayLike, ArrayLike]] = MappingProxyType({})
  ticks: Sequence[str] = ()
  levels: Mapping[str, float] = MappingProxyType({})


def function_curves(
  panels: Sequence[Panel],
  *,
  title: str,
  x: str = "",
  stacked: bool = False,
  rows: int = 1,
  panel_inches: tuple[float, float] | None = None,
  share_y: bool = False,
  caption: str,
  file: str = "function_curves",
) -> Picture:
  """Panels beside each other, or above each other with one x axis where `stacked`.

  Several `rows` are filled one after the other. A curve has the same look in every panel. With
  `share_y` the panels have one vertical scale.
  """
  rows = len(panels) if stacked else rows
  inches = panel_inches or ((6.4, 2.5) if stacked else (4.6, 3.6))
  figure, grid = new_figure(title, rows, -(-len(panels) // rows), panel_inches=inches)
  names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
  for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=True)):
    if number and stacked:
      axes.sharex(grid[0, 0])  # before anything is drawn, so that the limits hold all panels
    if number and share_y:
      axes.sharey(grid[0, 0])
    _draw(axes, panel, names)
    is_lowest = number + grid.shape[1] >= len(panels)
    label_axes(axes, (panel.x or x) if is_lowest else "", panel.y, panel.title)
    _scale(axes, panel)
  legend_below(figure)
  return Picture(file, figure, caption)


def errors_through_time(
  lengths: Mapping[str, ArrayLike], *, title: str, caption: str, file: str = "through_time"
) -> Picture:
  """Lengths [time] of errors that flow back through a recurrent net, by name."""
  curves = {name: (np.arange(np.size(flow)), flow) for name, flow in lengths.items()}
  return function_curves(
    [Panel("length of the error", curves, log="y")],
    title=title,
    x="time",
    panel_inches=(5.2, 4.0),
    caption=caption,
    file=file,
  )


def _draw(axes: Axes, panel: Panel, names: Sequence[str]) -> None:
  """Points, curves with their bands, and the dot; a curve's look goes by its place in `names`."""
  for name, (inputs, values) in panel.points.items():
    axes.plot(inputs, values, ".", color=POINT, markersize=3.5, label=name)
  for name, (inputs, values) in panel.curves.items():
    index = names.index(name)
    if name in panel.bands:
      low, high = panel.bands[name]
      axes.fill_between(inputs, low, high, color=stroke(index).colour, alpha=0.2, linewidth=0)
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


def _scale(axes: Axes, panel: Panel) -> None:
  if panel.ticks:
    axes.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=20, ha="right")
  drawn = [np.asarray(line.get_xydata(), float) for line in axes.lines]
  has_positive = lambda axis: any((points[:, axis] > 0).any() for points in drawn)
  if "x" in panel.log and has_positive(0):  # there is no logarithm of the others
    axes.set_xscale("log", nonpositive="mask")
  if "y" in panel.log and has_positive(1):
    axes.set_yscale("log", nonpositive="mask")
  if panel.y_range != (None, None):  # else the limits go on following what shares them
    axes.set_ylim(*panel.y_range)
  if panel.curves or panel.points:
    low, high = panel.y_range
    say_if_empty(axes, -np.inf if low is None else low, np.inf if high is None else high)
  for name, value in panel.levels.items():
    if axes.get_ylim()[0] <= value <= axes.get_ylim()[1]:
      axes.axhline(value, color=POINT, linewidth=0.9)
      place, across = (1.01, value), ("axes fraction", "data")
      axes.annotate(name, place, xycoords=across, fontsize=8, color=INK, va="center")


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
