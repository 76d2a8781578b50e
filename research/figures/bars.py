"""Bar charts."""

from collections.abc import Mapping

from research.figures.style import label_axes, new_figure, stroke
from research.report import Picture


def bar_charts(
  panels: Mapping[str, Mapping[str, float]],
  *,
  title: str,
  x: str,
  log: bool = False,
  number: str = ".3g",
  caption: str,
  file: str = "bar_charts",
) -> Picture:
  """A panel for each quantity, which names its vertical axis, and in it a bar for each name.

  Every value stands over its bar in the format `number`. With `log` the vertical axes are
  logarithmic.
  """
  figure, grid = new_figure(title, columns=len(panels))
  for index, (axes, (y, values)) in enumerate(zip(grid[0], panels.items(), strict=True)):
    bars = axes.bar(list(values), list(values.values()), color=stroke(index).colour, width=0.6)
    axes.bar_label(bars, [format(value, number) for value in values.values()], fontsize=9)
    if log:
      axes.set_yscale("log")
    axes.margins(y=0.15)
    label_axes(axes, x, y)
  return Picture(file, figure, caption)
