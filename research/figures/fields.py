"""Functions of two variables: arrows over the plane, and paths over contours."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import (
  FAINT,
  INK,
  label_axes,
  label_contours,
  legend_below,
  new_figure,
  stroke,
)
from research.report import Picture


def arrow_field(
  points: ArrayLike,
  vectors: ArrayLike,
  *,
  title: str,
  axis_names: tuple[str, str],
  note: str = "",
  caption: str,
  file: str = "arrow_field",
) -> Picture:
  """Arrows `vectors` [n, 2], each with its tail at its point of `points` [n, 2].

  The lengths are to scale among themselves; `note` stands above the panel.
  """
  figure, grid = new_figure(title, panel_inches=(5.2, 5.0))
  axes = grid[0, 0]
  axes.quiver(*np.asarray(points).T, *np.asarray(vectors).T, angles="xy", color=INK, width=0.003)
  label_axes(axes, *axis_names, note)
  axes.set_aspect("equal")
  return Picture(file, figure, caption)


def contour_paths(
  x: ArrayLike,
  y: ArrayLike,
  heights: ArrayLike,
  paths: Mapping[str, ArrayLike],
  *,
  title: str,
  axis_names: tuple[str, str],
  levels: int | Sequence[float] = 12,
  note: str = "",
  caption: str,
  file: str = "contour_paths",
) -> Picture:
  """Paths [steps, 2] of points over the contours of `heights` [len(y), len(x)].

  Every point of a path has a marker; a ring marks where it starts.
  """
  figure, grid = new_figure(title, panel_inches=(5.4, 5.0))
  axes = grid[0, 0]
  x, y = np.asarray(x), np.asarray(y)
  lines = axes.contour(x, y, np.asarray(heights), levels=levels, colors="#909090", linewidths=0.8)
  for index, (name, path) in enumerate(paths.items()):
    look, points = stroke(index), np.asarray(path)
    axes.plot(
      *points.T,
      label=name,
      color=look.colour,
      linestyle=look.dashes,
      marker=look.marker,
      markersize=4.5,
      linewidth=1.2,
    )
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": look.colour}
    axes.plot(*points[0], "o", label=None if index else "start", **ring)
  label_axes(axes, *axis_names, note)
  axes.grid(False)
  axes.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
  axes.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
  axes.set_xlim(x.min(), x.max())
  axes.set_ylim(y.min(), y.max())
  label_contours(axes, lines)
  axes.set_aspect("equal")
  legend_below(figure)
  return Picture(file, figure, caption)
