"""Histograms: of samples over each other, and grids of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture

PANEL_INCHES = (1.75, 1.45)
BINS = 30


def histogram_grid(
  cases: Mapping[str, Sequence[ArrayLike]],
  *,
  title: str,
  x: str,
  value_range: tuple[float, float] | None = None,
  caption: str,
  file: str = "histogram_grid",
) -> Picture:
  """Share of values in 30 bins, a row for each case and a column for each of its layers.

  Without `value_range` each panel has its own, symmetric about 0 and written on its axis. The
  standard deviation stands in the corner of each panel.

  Raises ValueError where the cases have different numbers of layers.
  """
  columns = {len(layers) for layers in cases.values()}
  if len(columns) != 1:
    raise ValueError(f"every case must have equally many layers, not {sorted(columns)}")
  figure, grid = new_figure(title, len(cases), columns.pop(), PANEL_INCHES)
  for row, (name, layers) in enumerate(cases.items()):
    for column, values in enumerate(layers):
      axes, held = grid[row, column], np.ravel(np.asarray(values, float))
      numbers = held[np.isfinite(held)]
      reach = float(np.abs(numbers).max(initial=0.0)) or 1.0
      with np.errstate(invalid="ignore"):  # of values that are not finite, it is not either
        spread = held.std()
      low, high = value_range or (-reach, reach)
      shares, edges = np.histogram(np.clip(numbers, low, high), BINS, (low, high))
      axes.bar(
        edges[:-1],
        shares / len(held),
        np.diff(edges),
        align="edge",
        color=stroke(0).colour,
      )
      label_axes(axes, x if row == len(cases) - 1 else "", name if column == 0 else "")
      if row == 0:
        axes.set_title(f"layer {column + 1}", fontsize=10, color=INK)
      axes.set_ylim(0, 1.3 * float(shares.max()) / len(held) or 1.0)
      axes.set_yticks([])
      # Long numbers would run into the next panel; of a symmetric range the right end says all.
      ticks = [low, (low + high) / 2, high] if value_range else [0.0, high]
      axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
      axes.tick_params(labelsize=8)
      axes.text(
        0.97,
        0.95,
        f"std {spread:.2g}",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8,
        color=INK,
      )
  return Picture(file, figure, caption)


def compare_histograms(
  panels: Mapping[str, Mapping[str, ArrayLike]],
  *,
  title: str,
  y: str,
  caption: str,
  file: str = "compare_histograms",
) -> Picture:
  """Shares of several samples in 30 common bins, as outlines over each other.

  Args:
    panels: for each name of a horizontal axis, samples [n] by their own names; a name has one look
      in all panels.
    title: above the figure.
    y: name of the vertical axis.
  """
  figure, grid = new_figure(title, columns=len(panels))
  names = list(dict.fromkeys(name for samples in panels.values() for name in samples))
  for axes, (x, samples) in zip(grid[0], panels.items(), strict=True):
    edges = np.histogram_bin_edges(np.concatenate(list(map(np.asarray, samples.values()))), BINS)
    for name, values in samples.items():
      look, numbers = stroke(names.index(name)), np.asarray(values)
      shares = np.histogram(numbers, edges)[0] / len(numbers)
      axes.stairs(
        shares, edges, color=look.colour, linestyle=look.dashes, linewidth=1.6, label=name
      )
    label_axes(axes, x, y)
  legend_below(figure)
  return Picture(file, figure, caption)
