"""Figures as bytes: PNG, SVG, and an SVG that is laid out anew for a narrow screen."""

import io
import itertools
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from research.figures.style import legend_below

RASTER_DPI = 120  # of images and of crowds of marks within a drawing
CROWD = 2000  # so many marks or lines are smaller as pixels
NARROW_INCHES = 4.1  # at 390 pixels a text of 9 points is 10 pixels high
TALLEST_PANEL = 4.2
CHARACTER_INCHES = {"title": 0.1, "panel": 0.083, "note": 0.07}


def as_png(figure: Figure) -> bytes:
  """The figure as a PNG file."""
  image = io.BytesIO()
  figure.savefig(image, format="png")
  return image.getvalue()


def as_svg(figure: Figure) -> bytes:
  """The figure as an SVG file, in which texts are outlines and images are pixels.

  Equal figures give equal bytes.
  """
  for axes in figure.axes:
    marks = [*axes.lines, *axes.collections]
    sizes = [np.size(line.get_xdata()) for line in axes.lines]
    sizes += [
      max(np.shape(each.get_offsets())[0], len(each.get_paths())) for each in axes.collections
    ]
    for artist in marks if sum(sizes) > CROWD else ():
      artist.set_rasterized(True)
  image = io.BytesIO()
  with rc_context({"svg.hashsalt": "lineage"}):
    figure.savefig(image, format="svg", dpi=RASTER_DPI, metadata={"Date": None, "Creator": None})
  return image.getvalue()


def as_narrow_svg(figure: Figure) -> bytes | None:
  """The figure as an SVG with as many panels beside each other as a phone shows, mostly one.

  None for a drawing or a grid of images, which have no other layout. The figure itself is changed,
  so that this is the last that is made of it.
  """
  panels = _panels(figure)
  if not panels or not _has_other_layout(panels):
    return None
  grid = panels[0].get_gridspec()
  assert grid is not None
  width, height = figure.get_size_inches()
  old = (width / grid.ncols, (height - 0.4) / grid.nrows)
  columns = max(1, min(len(panels), int(NARROW_INCHES / old[0])))
  if width <= NARROW_INCHES and columns == grid.ncols:
    return None
  _name_all(panels)
  rows = -(-len(panels) // columns)
  new_width = NARROW_INCHES / columns
  is_square = any(axes.get_aspect() != "auto" for axes in panels)
  shrunk = min(1.0, new_width / old[0]) if is_square else 1.0
  new_height = min(max(TALLEST_PANEL, 0.7 * old[1]), old[1] * max(0.75, shrunk) + 0.15)
  _rearrange(figure, panels, rows, columns)
  for axes in panels:
    _wrap(axes, new_width)
  for text in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
    if text is not None:
      room = CHARACTER_INCHES["title" if text is figure._suptitle else "note"]  # type: ignore[attr-defined]
      text.set_text(textwrap.fill(text.get_text(), int(NARROW_INCHES / room)))
  figure.set_size_inches(NARROW_INCHES, 0.6 + rows * new_height)
  for legend in list(figure.legends):
    legend.remove()
    legend_below(figure)
  figure.draw_without_rendering()
  for axes in panels:
    _turn_crowded(axes)
  return as_svg(figure)


def _panels(figure: Figure) -> list[Axes]:
  """The panels of the figure's one grid, row by row; those that hold nothing are taken away."""
  found = list[Axes]()
  for axes in list(figure.axes):
    if axes.get_subplotspec() is None:  # a colour bar
      continue
    is_empty = not axes.axison and not (axes.lines or axes.images or axes.texts or axes.patches)
    if not axes.get_visible() or is_empty:
      axes.remove()
    else:
      found.append(axes)
  return found


def _has_other_layout(panels: Sequence[Axes]) -> bool:
  """Tells whether the panels mean the same in other places: no drawing, no table of images."""
  is_free = all(axes.axison or axes.get_aspect() == "auto" for axes in panels)
  return is_free or all(axes.images and axes.texts for axes in panels)


def _place(axes: Axes) -> tuple[int, int]:
  spec = axes.get_subplotspec()
  assert spec is not None
  return spec.rowspan.start, spec.colspan.start


def _name_all(panels: Sequence[Axes]) -> None:
  """Gives each panel the names that it had from the first of its row or the end of its column."""
  places = {_place(axes): axes for axes in panels}
  for (row, column), axes in places.items():
    first = places[min(place for place in places if place[0] == row)]
    top = places[min(place for place in places if place[1] == column)]
    lowest = places[max(place for place in places if place[1] == column)]
    if not axes.get_ylabel():
      axes.set_ylabel(first.get_ylabel(), fontsize=10)
    if not axes.get_xlabel():
      axes.set_xlabel(lowest.get_xlabel(), fontsize=10)
    if not axes.get_title():
      axes.set_title(top.get_title(), fontsize=10)
    texts = [text.get_text() for text in first.get_yticklabels()]
    if any(texts) and list(first.get_yticks()) == list(axes.get_yticks()):
      axes.tick_params(labelleft=True)
      if not any(text.get_text() for text in axes.get_yticklabels()):
        axes.set_yticks(first.get_yticks(), texts)


def _rearrange(figure: Figure, panels: Sequence[Axes], rows: int, columns: int) -> None:
  grid = GridSpec(rows, columns, figure=figure)
  for number, axes in enumerate(panels):
    axes.set_subplotspec(grid[number // columns, number % columns])


def _wrap(axes: Axes, inches: float) -> None:
  """Breaks a panel's title and the name of its horizontal axis where the panel ends."""
  characters = max(12, int(inches / CHARACTER_INCHES["panel"]))
  for text in (axes.title, axes.xaxis.label):
    lines = text.get_text().split("\n")
    text.set_text("\n".join(textwrap.fill(line, characters) for line in lines))


def _turn_crowded(axes: Axes) -> None:
  """Turns the names below an axis where they would meet."""
  labels = [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]
  boxes = [label.get_window_extent() for label in labels]
  meets = any(
    left.x1 + 2 > right.x0
    for left, right in itertools.pairwise(boxes)
    if left.y0 < right.y1 and right.y0 < left.y1
  )
  if meets and not any(label.get_rotation() for label in labels):
    axes.tick_params(axis="x", labelrotation=40)
    for label in labels:
      label.set_horizontalalignment("right")
