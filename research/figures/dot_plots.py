"""Numbers of named things as dots, a row for each."""

from collections.abc import Mapping

from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture


def dot_plot(
  groups: Mapping[str, Mapping[str, float]],
  *,
  title: str,
  x: str,
  least: float,
  marks: Mapping[str, float],
  caption: str,
  file: str = "dot_plot",
) -> Picture:
  """A row for every number of every group, such as {"net": {"W1": 3e-9, "b1": 2e-9}}.

  The horizontal axis is logarithmic. Numbers below `least` are drawn there; `marks` are values with
  their names, each a dashed line.
  """
  labels = [label for numbers in groups.values() for label in numbers]
  figure, grid = new_figure(title, panel_inches=(7.4, 1.3 + 0.22 * len(labels)))
  axes, row = grid[0, 0], 0
  for index, (group, numbers) in enumerate(groups.items()):
    look, rows = stroke(index), range(row, row + len(numbers))
    shown = [max(number, least) for number in numbers.values()]
    axes.plot(shown, rows, look.marker, color=look.colour, label=group, markersize=6)
    row += len(numbers)
  for name, value in marks.items():
    axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.text(value, -0.75, name, ha="center", fontsize=8.5, color=INK, backgroundcolor="white")
  axes.set_xscale("log")
  label_axes(axes, f"{x}; smaller than {least:g} at the left edge", "")
  axes.set_yticks(range(len(labels)), labels, fontsize=8)
  axes.set_ylim(len(labels) - 0.5, -1.3)
  legend_below(figure)
  return Picture(file, figure, caption)
