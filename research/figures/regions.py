"""Decision regions of a binary classifier over a plane."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, legend_below, new_figure
from research.report import Picture

ANSWERED = "#c4cbd4"


def decision_regions(
  panels: Mapping[str, tuple[ArrayLike, ArrayLike]],
  x: ArrayLike,
  y: ArrayLike,
  points: ArrayLike,
  *,
  title: str,
  axis_names: tuple[str, str],
  caption: str,
  file: str = "decision_regions",
) -> Picture:
  """A panel for each pair of answers [len(y), len(x)] and labels [n] of the `points` [n, 2].

  Grey is the region that is answered with 1. A point is a black triangle where its label is 1 and
  a white disc where it is 0.
  """
  columns = min(len(panels), 2)
  figure, grid = new_figure(title, -(-len(panels) // columns), columns, panel_inches=(3.6, 3.3))
  points = np.asarray(points)
  for axes, (name, (answers, labels)) in zip(grid.flat, panels.items(), strict=False):
    axes.contourf(x, y, answers, levels=[-0.5, 0.5, 1.5], colors=["#ffffff", ANSWERED])
    for label, marker, fill in ((0, "o", "white"), (1, "^", INK)):
      axes.plot(
        *points[np.asarray(labels) == label].T,
        marker,
        markersize=10,
        markerfacecolor=fill,
        markeredgecolor=INK,
        linestyle="none",
        label=f"label {label}",
      )
    label_axes(axes, *axis_names, name)
    axes.grid(False)
    axes.locator_params(nbins=5)
    axes.set_aspect("equal")
  grid.flat[0].fill_between([], [], color=ANSWERED, label="answered with 1")
  for axes in list(grid.flat)[len(panels) :]:
    axes.set_axis_off()
  legend_below(figure)
  return Picture(file, figure, caption)
