"""Single observations: points of the plane, and values in columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, label_contours, legend_below, new_figure, stroke
from research.report import Picture


class Contours(NamedTuple):
  """A function of two variables: its values `heights` [len(y), len(x)], and which lines to draw."""

  x: ArrayLike
  y: ArrayLike
  heights: ArrayLike
  levels: int | Sequence[float] = 8


def scatter_panels(
  panels: Mapping[str, Mapping[str, ArrayLike]],
  *,
  title: str,
  x: str,
  y: str,
  contours: Contours | None = None,
  shadows: bool = False,
  panel_inches: tuple[float, float] = (3.5, 3.8),
  caption: str,
  file: str = "scatter",
) -> Picture:
  """Points [n, 2] by name, a panel for each title, both axes to one scale.

  They stand over the lines of `contours`. With `shadows`, strokes above the panel mark the places
  of the points on the horizontal axis.
  """
  figure, grid = new_figure(title, columns=len(panels), panel_inches=panel_inches)
  for axes, (name, groups) in zip(grid[0], panels.items(), strict=True):
    if contours:
      lines = axes.contour(*contours[:3], levels=contours.levels, colors="#bbbbbb", linewidths=0.7)
      label_contours(axes, lines)
    for index, (group, points) in enumerate(groups.items()):
      look, at = stroke(index), np.asarray(points)
      axes.plot(*at.T, look.marker, color=look.colour, markersize=4.5, label=group)
      if shadows:
        across = axes.get_xaxis_transform()  # in the data's x, and shares of the panel's height
        axes.vlines(at[:, 0], 1.02, 1.08, color=INK, linewidth=1.2, transform=across, clip_on=False)
    label_axes(axes, x, y if axes is grid[0, 0] else "")
    axes.set_title(name, fontsize=10.5, color=INK, pad=22 if shadows else None)
    axes.set_aspect("equal")
  legend_below(figure)
  return Picture(file, figure, caption)


def strip_panels(
  panels: Mapping[str, Mapping[str, ArrayLike]],
  *,
  title: str,
  y: str,
  log: bool = False,
  share_y: bool = True,
  percent: bool = False,
  caption: str,
  file: str = "strips",
) -> Picture:
  """The values [n] of every name in a column of its own, with a line at their mean.

  There is a panel for each title. With `log` the vertical axes are logarithmic, and the line is at
  the geometric mean. With `percent` fractions are written in percent.
  """
  figure, grid = new_figure(title, columns=len(panels), panel_inches=(3.8, 3.4))
  for axes, (name, columns) in zip(grid[0], panels.items(), strict=True):
    if share_y and axes is not grid[0, 0]:
      axes.sharey(grid[0, 0])  # before anything is drawn, so that the limits hold all panels
    for place, values in enumerate(map(np.asarray, columns.values())):
      look = stroke(place)
      axes.plot(place + np.linspace(-0.18, 0.18, len(values)), values, look.marker, c=look.colour)
      mean = np.exp(np.mean(np.log(values))) if log else np.mean(values)
      axes.plot([place - 0.3, place + 0.3], [mean, mean], color=INK, linewidth=1.6)
    axes.set_xticks(range(len(columns)), list(columns), rotation=12)
    label_axes(axes, "", y if axes is grid[0, 0] else "", name)
    if log:
      axes.set_yscale("log")
    if percent:
      axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
  return Picture(file, figure, caption)
