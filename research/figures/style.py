"""One look for every figure: readable in grey, with colour-blind eyes, and without its caption.

Figures are plain `matplotlib.figure.Figure` objects. Nothing here touches pyplot or rcParams, so
figures may be made anywhere, in threads too.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 120
PANEL_INCHES = (4.6, 3.4)
WIDEST = 11.5  # inches; in a report at desktop width 8 points are then 9 pixels
INK = "#222222"
FAINT = "#d9d9d9"
EDGE = 0.035  # of a panel, in which a label would be cut off
APART = 0.17  # inches between a label and the nearest point


@dataclass(frozen=True)
class Stroke:
  """The style of one curve. Colour, dashes and marker all differ, so any one of them suffices."""

  colour: str
  dashes: str | tuple[float, tuple[float, ...]]
  marker: str


# Okabe and Ito's colours, ordered so that neighbours also differ in grey.
STROKES = (
  Stroke("#0072B2", "-", "o"),
  Stroke("#E69F00", (0, (5, 1.5)), "s"),
  Stroke("#000000", (0, (1, 1.2)), "^"),
  Stroke("#009E73", (0, (5, 1.2, 1, 1.2)), "D"),
  Stroke("#D55E00", (0, (2.5, 1)), "v"),
  Stroke("#56B4E9", (0, (8, 1.5)), "P"),
  Stroke("#CC79A7", (0, (4, 1, 1, 1, 1, 1)), "X"),
)


def stroke(index: int) -> Stroke:
  """The stroke of curve number `index`; after seven, colours meet other dashes and markers."""
  lap = index // len(STROKES)
  shape = STROKES[(index + lap) % len(STROKES)]
  return Stroke(STROKES[index % len(STROKES)].colour, shape.dashes, shape.marker)


def new_figure(
  title: str, rows: int = 1, columns: int = 1, panel_inches: tuple[float, float] = PANEL_INCHES
) -> tuple[Figure, np.ndarray]:
  """A titled figure and its axes, an object array [rows, columns]; a panel is (width, height).

  Panels are narrower where the figure would otherwise be so wide that a page shrinks its texts.
  """
  width, height = min(panel_inches[0], WIDEST / columns), panel_inches[1]
  figure = Figure(
    figsize=(columns * width, rows * height + 0.4),
    dpi=DPI,
    layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
    facecolor="white",
  )
  figure.suptitle(title, fontsize=12, color=INK, fontweight="bold")
  return figure, figure.subplots(rows, columns, squeeze=False)


def label_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
  """Names both axes (with units) and the panel, and quietens the frame."""
  axes.set_xlabel(x, fontsize=10, color=INK)
  axes.set_ylabel(y, fontsize=10, color=INK)
  axes.set_title(title, fontsize=10.5, color=INK)
  axes.tick_params(which="both", labelsize=9, colors=INK)
  axes.grid(True, color=FAINT, linewidth=0.6)
  axes.set_axisbelow(True)
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)


def label_contours(axes: Axes, lines: ContourSet) -> None:
  """Writes their heights on contours, but at no place where they would be cut off or cover points.

  The panel's limits must stand, and its points be drawn.
  """
  ground = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
  drawn = [line.get_xydata() for line in axes.lines if line.get_transform() == axes.transData]
  pixels = axes.transData.transform(np.concatenate([np.empty((0, 2)), *drawn]))
  for label in axes.clabel(lines, inline=False, fontsize=8, fmt="%g"):
    label.set_bbox(ground)
    at = axes.transData.transform(label.get_position())
    place = axes.transAxes.inverted().transform(at)
    is_free = bool((np.linalg.norm(pixels - at, axis=1) > APART * DPI).all())
    label.set_visible(is_free and bool(((place > EDGE) & (place < 1 - EDGE)).all()))


def legend_below(figure: Figure) -> None:
  """One legend of all panels' curves, each name once, under the panels where it covers no data."""
  curves: dict[str, Artist] = {}
  for axes in figure.axes:
    handles, labels = axes.get_legend_handles_labels()
    curves |= dict(zip(labels, handles, strict=True))
  if not curves:
    return
  most_in_a_row = max(1, int(figure.get_figwidth() * 13 / (max(map(len, curves)) + 7)))
  rows = -(-len(curves) // most_in_a_row)
  figure.legend(
    list(curves.values()),
    list(curves),
    loc="outside lower center",
    ncols=-(-len(curves) // rows),
    fontsize=9,
    frameon=False,
    handlelength=3.2,
  )
