"""Texts as a figure: what a model writes."""

import textwrap
from collections.abc import Mapping, Sequence

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
