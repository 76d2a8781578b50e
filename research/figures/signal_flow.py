"""Feed-forward networks as drawings, made from their weights and shapes."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from numpy.typing import ArrayLike

from research.figures.style import INK, new_figure
from research.report import Picture

RADIUS = 0.3
COLUMN_PITCH = 3.4
FADED = "#c4c4c4"
BIAS_FILL = "#d9d9d9"

BOX_PITCH = 1.5
BOX_WIDTH = 1.1


def signal_flow(
  layers: Sequence[tuple[ArrayLike, ArrayLike]],
  signals: Sequence[ArrayLike],
  *,
  title: str,
  names: Sequence[str],
  caption: str,
  file: str = "signal_flow",
) -> Picture:
  """One panel for each layer, with its arrows and their weights; the other layers are faded.

  `layers` holds weights [in, out] and biases [out]; `signals` what each column of neurons emits,
  from the input on, and `names` what each is called. A grey neuron emits the 1 that biases weigh.

  Raises ValueError where signals or names do not fit the layers.
  """
  # The bias is one more row of weights, from one more neuron at the top of the column.
  weights = [np.vstack([np.asarray(bias), np.asarray(weight)]) for weight, bias in layers]
  sizes = [len(weights[0]) - 1, *(weight.shape[1] for weight in weights)]
  if [len(np.asarray(signal)) for signal in signals] != sizes or len(names) != len(sizes):
    raise ValueError(f"columns of {sizes} neurons need as many signals, and a name each")
  emitted = [np.concatenate([[1.0], np.asarray(signal)]) for signal in signals[:-1]]
  emitted.append(np.asarray(signals[-1]))
  columns = [_centred(len(values), COLUMN_PITCH * index) for index, values in enumerate(emitted)]

  tallest = max(map(len, emitted))
  figure, grid = new_figure(title, len(layers), panel_inches=(7.4, 0.62 * tallest + 0.3))
  for shown, axes in enumerate(grid[:, 0]):
    for index, weight in enumerate(weights):
      targets = columns[index + 1][-weight.shape[1] :]
      _draw_arrows(axes, columns[index], targets, weight, is_shown=index == shown)
    for index, (places, values) in enumerate(zip(columns, emitted, strict=True)):
      for row, (place, value) in enumerate(zip(places, values, strict=True)):
        is_bias = row == 0 and index < len(layers)
        text = f"{value:.3g}" if is_bias or index <= shown + 1 else ""
        fill = BIAS_FILL if is_bias else "white"
        axes.add_patch(Circle(tuple(place), RADIUS, facecolor=fill, edgecolor=INK, zorder=3))
        axes.text(
          place[0], place[1], text, ha="center", va="center", fontsize=8, color=INK, zorder=4
        )
    axes.set_title(f"{names[shown]} → {names[shown + 1]}", fontsize=10.5, color=INK)
    axes.set_xlim(-2 * RADIUS, columns[-1][0, 0] + 2 * RADIUS)
    axes.set_ylim(-tallest / 2, tallest / 2)
    axes.set_aspect("equal")
    axes.set_axis_off()
  return Picture(file, figure, caption)


def array_shapes(
  cases: Mapping[str, Mapping[str, tuple[int, ...]]],
  *,
  title: str,
  caption: str,
  file: str = "array_shapes",
) -> Picture:
  """A row for each case, such as {"one image": {"x": (784,), "W1": (784, 50), "y": (50,)}}.

  The first array meets the ones after it in matrix products, and the last one is what comes out.
  A bracket joins two dimensions that a product sums over.

  Raises ValueError naming a case where such two dimensions differ.
  """
  boxes = max(len(case) for case in cases.values())
  figure, grid = new_figure(title, len(cases), panel_inches=(1.35 * boxes, 1.3))
  for axes, (case, shapes) in zip(grid[:, 0], cases.items(), strict=True):
    factors = list(shapes.values())[:-1]
    for left, right in itertools.pairwise(factors):
      if left[-1] != right[0]:
        raise ValueError(f"{case}: arrays of {left} and {right} have no product")
    for index, (name, shape) in enumerate(shapes.items()):
      edge = BOX_PITCH * index
      axes.add_patch(Rectangle((edge, 0.6), BOX_WIDTH, 0.5, facecolor="white", edgecolor=INK))
      axes.text(edge + BOX_WIDTH / 2, 0.85, name, ha="center", va="center", color=INK)
      sizes = " × ".join(map(str, shape))
      axes.text(edge + BOX_WIDTH / 2, 0.38, sizes, ha="center", va="center", color=INK)
      if 0 < index < len(shapes) - 1:
        here, before = edge + 0.25, edge - BOX_PITCH + BOX_WIDTH - 0.25
        axes.plot([before, before, here, here], [0.2, 0.08, 0.08, 0.2], color=INK, linewidth=1)
    end = BOX_PITCH * (len(shapes) - 1)
    arrow = {"arrowstyle": "-|>", "color": INK}
    axes.annotate("", (end, 0.85), (end - BOX_PITCH + BOX_WIDTH, 0.85), arrowprops=arrow)
    axes.set_title(case, fontsize=10.5, color=INK, loc="left")
    axes.set_xlim(-0.05, BOX_PITCH * boxes)
    axes.set_ylim(0, 1.15)
    axes.set_axis_off()
  return Picture(file, figure, caption)


def _centred(neurons: int, x: float) -> np.ndarray:
  """Places [neurons, 2] in a column at `x`, from the top down, one apart, centred about zero."""
  return np.stack([np.full(neurons, x), (neurons - 1) / 2 - np.arange(neurons)], axis=1)


def _draw_arrows(
  axes: Axes, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, *, is_shown: bool
) -> None:
  """Arrows from all sources [m, 2] to all targets [n, 2], each with its weight of [m, n]."""
  colour, head = (INK, "-|>") if is_shown else (FADED, "-")
  for target, to_target in zip(targets, weights.T, strict=True):
    for source, weight in zip(sources, to_target, strict=True):
      along = (target - source) / np.linalg.norm(target - source)
      start, end = source + RADIUS * along, target - RADIUS * along
      axes.annotate("", end, start, arrowprops={"arrowstyle": head, "color": colour, "shrinkB": 0})
      if is_shown:
        # A fifth of the way the arrows of one neuron have parted and not met its neighbour's yet.
        place = source + 0.2 * (target - source)
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        x, y = place
        text = f"{weight:g}"
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color=INK, bbox=box)
