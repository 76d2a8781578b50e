"""Attention maps over tokens."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, new_figure
from research.report import Picture


class Map(NamedTuple):
  """Weights [written tokens, read tokens], each row a distribution, and the tokens' names.

  Weights beyond the last name, those of padding, are not drawn.
  """

  weights: ArrayLike
  read: Sequence[str]
  written: Sequence[str]


def attention_maps(
  maps: Mapping[str, Map],
  *,
  title: str = "Where the decoder looks",
  columns: int = 2,
  caption: str,
  file: str = "attention",
) -> Picture:
  """A panel for each map: what is read along the horizontal, what is written downwards.

  White is no attention, black is all of it.
  """
  columns = min(columns, len(maps))
  rows = -(-len(maps) // columns)
  figure, grid = new_figure(title, rows, columns, panel_inches=(4.8, 4.2))
  for axes in grid.flat[len(maps) :]:
    axes.set_visible(False)
  shades = None
  for axes, (name, shown) in zip(grid.flat, maps.items(), strict=False):
    weights = np.asarray(shown.weights)[: len(shown.written), : len(shown.read)]
    shades = axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    label_axes(axes, "token that is read", "token that is written", name)
    axes.grid(False)
    turn = 90 if max(map(len, shown.read), default=0) > 3 else 0  # words would meet
    axes.set_xticks(range(len(shown.read)), shown.read, rotation=turn)
    axes.set_yticks(range(len(shown.written)), shown.written)
    axes.tick_params(labelsize=8, length=0)
  if shades is not None:
    bar = figure.colorbar(shades, ax=grid, shrink=0.7, pad=0.02)
    bar.set_label("attention weight", fontsize=10, color=INK)
    bar.ax.tick_params(labelsize=9, colors=INK)
  return Picture(file, figure, caption)
