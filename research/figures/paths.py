"""Paths of descent over the contours of a function of two variables."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture


def descent_paths(
  function: Callable[[np.ndarray, np.ndarray], np.ndarray],
  paths: Mapping[str, ArrayLike],
  *,
  title: str,
  x_range: tuple[float, float],
  y_range: tuple[float, float],
  levels: Sequence[float] | int = 18,
  minimum: tuple[float, float] | None = None,
  columns: int = 2,
  caption: str,
  file: str = "descent_paths",
) -> Picture:
  """One panel for each path [points, 2] over the function's contours; a cross marks the minimum.

  A filled circle is where a path begins, an open one where it ends.
  """
  rows = -(-len(paths) // columns)
  figure, grid = new_figure(title, rows=rows, columns=columns, panel_inches=(4.6, 3.3))
  x, y = np.meshgrid(np.linspace(*x_range, 241), np.linspace(*y_range, 241))
  for index, (axes, (name, path)) in enumerate(zip(grid.flat, paths.items(), strict=False)):
    axes.contour(x, y, function(x, y), levels=levels, colors="#9a9a9a", linewidths=0.7)
    points, look = np.asarray(path), stroke(index)
    axes.plot(*points.T, color=look.colour, marker=".", markersize=5, linewidth=1.3)
    axes.plot(*points[0], "o", color=INK, markersize=7, label="begins")
    axes.plot(*points[-1], "o", color=INK, markersize=8, markerfacecolor="white", label="ends")
    if minimum is not None:
      style = {"markersize": 11, "markeredgewidth": 1.6, "linestyle": "none"}
      axes.plot(*minimum, marker="+", color=INK, label="minimum", **style)
    label_axes(axes, "x", "y", name)
    axes.grid(False)
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)
  for axes in list(grid.flat)[len(paths) :]:
    axes.axis("off")
  legend_below(figure)
  return Picture(file, figure, caption)
