"""Texts as a figure: what a model writes."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from research.figures.style import INK, new_figure
from research.report import Picture


def text_columns(
  texts: Mapping[str, Sequence[str]],
  *,
  title: str,
  width: int = 46,
  caption: str,
  file: str = "text_columns",
) -> Picture:
  """A column for each name with its texts below each other, wrapped at `width` characters."""
  columns = {
    name: "\n".join(
      textwrap.fill(line, width, initial_indent="· ", subsequent_indent="  ", max_lines=3)
      for line in lines
    )
    for name, lines in texts.items()
  }
  height = 0.45 + 0.138 * max((column.count("\n") + 1 for column in columns.values()), default=1)
  figure, grid = new_figure(title, columns=len(columns), panel_inches=(0.088 * width, height))
  for axes, (name, column) in zip(grid[0], columns.items(), strict=True):
    axes.axis("off")
    axes.set_title(name, fontsize=10.5, color=INK, loc="left")
    plain = column.replace("$", r"\$")  # or matplotlib reads it as mathematics
    plain = "".join("□" if character > "\u22ff" else character for character in plain)
    axes.text(
      0, 1, plain, family="monospace", fontsize=8, va="top", color=INK, transform=axes.transAxes
    )
  return Picture(file, figure, caption)


def images_with_texts(
  images: ArrayLike,
  texts: Sequence[str],
  *,
  title: str,
  columns: int = 2,
  width: int = 34,
  caption: str,
  file: str = "images_with_texts",
) -> Picture:
  """Images [n, height, width, 3] of 0 to 255, each beside its text, wrapped line by line."""
  images = np.asarray(images)
  columns = min(columns, len(images))
  rows = -(-len(images) // columns)
  across, down = 1.8 + 0.088 * width, 1.7  # inches, of which the image takes a square
  figure, grid = new_figure(title, rows, columns, panel_inches=(across, down))
  for axes in grid.flat:
    axes.axis("off")
  for axes, image, text in zip(grid.flat, images, texts, strict=False):
    axes.imshow(image, extent=(0, 1, 0, 1), interpolation="nearest")
    axes.set_xlim(0, across / down)
    lines = [textwrap.fill(line, width, max_lines=5) for line in text.split("\n")]
    axes.text(1.06, 0.5, "\n".join(lines), fontsize=9, va="center", color=INK)
  return Picture(file, figure, caption)
