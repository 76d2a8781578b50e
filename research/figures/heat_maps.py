"""Tables of numbers as shaded cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, new_figure
from research.report import Picture


def heat_maps(
  tables: Mapping[str, ArrayLike],
  *,
  title: str,
  x: str,
  y: str,
  columns: Sequence[str] = (),
  rows: Sequence[str] = (),
  value_range: tuple[float | None, float | None] = (None, None),
  log: bool = False,
  colours: str = "Greys",
  number: str = "",
  shades: str = "",
  panel_inches: tuple[float, float] = (4.2, 3.6),
  caption: str,
  file: str = "heat_maps",
) -> Picture:
  """A panel for each table [rows, columns], by its title; a cell that is no number is left white.

  Args:
    tables: by title, all of one shape where rows or columns have names.
    title: above the figure.
    x: name of the horizontal axis.
    y: that of the vertical axis.
    columns: names of the columns; without them they are counted from 0.
    rows: names of the rows.
    value_range: the values that have the first and the last colour; by default a table's own.
    log: whether colours go with the logarithm.
    colours: name of the colour map.
    number: format in which each value stands in its cell, such as ".2g"; by default none does.
    shades: name of the colour bar, which is left out without it.
    panel_inches: width and height of a panel.
    caption: what the picture shows.
    file: name of the picture's file.
  """
  figure, grid = new_figure(title, columns=len(tables), panel_inches=panel_inches)
  for axes, (name, table) in zip(grid[0], tables.items(), strict=True):
    cells = np.asarray(table, float)
    norm = (LogNorm if log else Normalize)(*value_range)
    image = axes.imshow(cells, norm=norm, cmap=colours, aspect="auto", interpolation="nearest")
    is_left = axes is grid[0, 0]
    label_axes(axes, x, y if is_left else "", name)
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis):
      axis.set_major_locator(MaxNLocator(nbins=5, integer=True))  # cells are counted
    if columns:
      turn = 30 if sum(map(len, columns)) > 10 * panel_inches[0] else 0  # names would meet
      axes.set_xticks(range(len(columns)), columns, rotation=turn, ha="right" if turn else "center")
    if rows:
      axes.set_yticks(range(len(rows)), rows if is_left else [])
    for (row, column), value in np.ndenumerate(cells if number else np.empty((0, 0))):
      if np.isfinite(value):
        red, green, blue, _ = image.cmap(norm(value))
        ink = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else INK
        axes.text(column, row, format(value, number), ha="center", va="center", color=ink, size=9)
    if shades:
      bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.8)
      bar.set_label(shades, fontsize=9, color=INK)
      bar.ax.tick_params(labelsize=9, colors=INK)
  return Picture(file, figure, caption)
