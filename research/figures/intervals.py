"""Numbers with their intervals, a row for each."""

from collections.abc import Mapping

from research.figures.style import INK, label_axes, new_figure, stroke
from research.report import Picture


def interval_rows(
  rows: Mapping[str, tuple[float, float, float]],
  *,
  title: str,
  x: str,
  level: float | None = None,
  number: str = ".1f",
  caption: str,
  file: str = "intervals",
) -> Picture:
  """A row for each name: a number and both ends of its interval, with the number beside it.

  Args:
    rows: by name, a number, the lower and the upper end; the first one is on top.
    title: above the figure.
    x: name of the horizontal axis, with its unit.
    level: a value that all are to be compared with, drawn as a dashed line.
    number: format of the numbers.
    caption: below the figure.
    file: its name.
  """
  figure, grid = new_figure(title, panel_inches=(6.4, 0.9 + 0.36 * len(rows)))
  axes = grid[0, 0]
  for place, (value, low, high) in enumerate(rows.values()):
    look = stroke(0)
    axes.plot((low, high), (place, place), color=look.colour, linewidth=2, solid_capstyle="butt")
    axes.plot(value, place, look.marker, color=look.colour, markersize=7)
    axes.annotate(
      format(value, number),
      (1.01, place),
      xycoords=axes.get_yaxis_transform(),
      va="center",
      fontsize=9,
      color=INK,
    )
  if level is not None:
    axes.axvline(level, color=INK, linewidth=0.9, linestyle="--")
  axes.set_yticks(range(len(rows)), list(rows))
  axes.set_ylim(len(rows) - 0.5, -0.5)
  axes.margins(x=0.05)
  label_axes(axes, x, "")
  return Picture(file, figure, caption)
