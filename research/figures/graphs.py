"""Computational graphs: what flows forward above each edge, what flows back below it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, SupportsFloat

from matplotlib.axes import Axes

from research.figures.style import INK, WIDEST, new_figure
from research.report import Picture

BACKWARD_COLOUR = "#B3400A"
COLUMN, ROW = 2.1, 1.25  # distances between nodes
RADIUS = 0.36
INCHES_PER_UNIT = 0.78
KEY = "above each edge: the value that flows forward;  below, slanted: the derivative flowing back"


class Edge(NamedTuple):
  """Values between two nodes, forward and back; no target means the graph's result."""

  source: str
  target: str | None
  forward: SupportsFloat
  backward: SupportsFloat


def computational_graph(
  symbols: Mapping[str, str],
  edges: Sequence[Edge],
  *,
  title: str,
  rows: Mapping[str, float] = MappingProxyType({}),
  caption: str,
  file: str = "computational_graph",
) -> Picture:
  """A graph read from left to right: operations as circles, inputs as plain names.

  Args:
    symbols: the text in the circle of every operation by its name, in an order in which they can be
      computed; every other source is an input.
    edges: those to one node in the order in which they are to lie from top to bottom.
    title: of the figure.
    rows: heights of nodes, counted downwards, where the usual ones would cross too many edges.
  """
  position = {name: number for number, name in enumerate([*symbols, None])}
  edges = sorted(edges, key=lambda edge: position[edge.target])
  place = {name: (x, rows.get(name, y)) for name, (x, y) in layout(edges).items()}
  drawn = {name: (x * COLUMN, -y * ROW) for name, (x, y) in place.items()}
  longest_name = max(len(name) for name in drawn if name not in symbols)
  left = min(x for x, _ in drawn.values()) - 0.25 - 0.11 * longest_name
  right = max(x for x, _ in drawn.values()) + COLUMN + 0.1
  bottom, top = min(y for _, y in drawn.values()) - 0.55, max(y for _, y in drawn.values()) + 0.55
  unit = min(INCHES_PER_UNIT, WIDEST / (right - left))
  panel = (max(6.2, unit * (right - left)), unit * (top - bottom) + 0.35)
  figure, grid = new_figure(title, panel_inches=panel)
  axes = grid[0, 0]
  for edge in edges:
    x, y = drawn[edge.source]
    end = (x + COLUMN, y) if edge.target is None else drawn[edge.target]
    _draw_edge(axes, edge, (x, y), end, from_name=edge.source not in symbols)
  for name, (x, y) in drawn.items():
    if name in symbols:
      _draw_operation(axes, symbols[name], x, y)
    else:
      axes.text(x, y, name, ha="right", va="center", fontsize=10.5, color=INK)
  axes.set_xlim(left, right)
  axes.set_ylim(bottom, top)
  axes.set_aspect("equal")
  axes.axis("off")
  figure.supxlabel(KEY, fontsize=9, color=INK)
  return Picture(file, figure, caption)


def layout(edges: Sequence[Edge]) -> dict[str, tuple[int, float]]:
  """Column and row of every node: as far to the right as its consumers allow, inputs spread out."""
  inputs: dict[str, list[str]] = {}
  results = []
  for edge in edges:
    inputs.setdefault(edge.source, [])
    if edge.target is None:
      results.append(edge.source)
    else:
      inputs.setdefault(edge.target, []).append(edge.source)

  column: dict[str, int] = {}
  row: dict[str, float] = {}
  next_row = itertools.count()

  def push_left(name: str, at: int) -> None:
    column[name] = min(at, column.get(name, at))
    for source in inputs[name]:
      push_left(source, column[name] - 1)

  def spread(name: str) -> float:
    if name not in row:
      rows = [spread(source) for source in inputs[name]]
      row[name] = sum(rows) / len(rows) if rows else float(next(next_row))
    return row[name]

  for result in results:
    push_left(result, 0)
    spread(result)
  return {name: (column[name], row[name]) for name in column}


def _draw_operation(axes: Axes, symbol: str, x: float, y: float) -> None:
  axes.text(
    x,
    y,
    symbol,
    ha="center",
    va="center",
    fontsize=13 if len(symbol) == 1 else 10,
    color=INK,
    zorder=3,
    bbox={"boxstyle": "circle,pad=0.3", "facecolor": "white", "edgecolor": INK, "linewidth": 1.3},
  )


def _draw_edge(
  axes: Axes, edge: Edge, start: tuple[float, float], end: tuple[float, float], *, from_name: bool
) -> None:
  (x0, y0), (x1, y1) = start, end
  length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
  along = ((x1 - x0) / length, (y1 - y0) / length)
  first = 0.1 if from_name else RADIUS
  last = 0.0 if edge.target is None else RADIUS
  tail = (x0 + first * along[0], y0 + first * along[1])
  head = (x1 - last * along[0], y1 - last * along[1])
  axes.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2})
  middle = ((tail[0] + head[0]) / 2, (tail[1] + head[1]) / 2)
  for text, side, colour, style in (
    # + 0 turns -0 into 0
    (f"{float(edge.forward) + 0:.4g}", 1, INK, "normal"),
    (f"← {float(edge.backward) + 0:.4g}", -1, BACKWARD_COLOUR, "italic"),
  ):
    axes.annotate(
      text,
      middle,
      (-along[1] * 9 * side, along[0] * 9 * side),
      textcoords="offset points",
      ha="center",
      va="center",
      fontsize=10,
      fontstyle=style,
      color=colour,
      rotation=math.degrees(math.atan2(along[1], along[0])),
      zorder=4,
    )
