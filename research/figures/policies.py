"""Figures of policies: a film of an episode, values over a frame, values and arrows over a map."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from research.figures.style import INK, label_axes, new_figure, stroke
from research.report import Picture

COLOURS = 64  # of a film; policies live in worlds that are drawn in few
LONGEST = 150  # pictures of a film: with so many it is some hundred kilobytes


class Film(Figure):
  """A figure that moves: saved as an animated GIF, which browsers, slides and mail play.

  Attributes:
    suffix: of its file.
    pictures: [time, height, width, 3] in [0, 1].
    seconds_per_picture: how long each stays, to the hundredth.
    zoom: pixels on a side for each of the pictures'.
  """

  suffix = ".gif"
  pictures: np.ndarray
  seconds_per_picture: float
  zoom: int

  def savefig(self, fname: Any, **options: Any) -> None:
    """Writes the film; `options` are those of a still picture and do not matter."""
    del options
    moving = np.round(255 * self.pictures).astype(np.uint8)
    # One palette for all, so that what stands still does not flicker.
    palette = Image.fromarray(np.concatenate(moving)).quantize(COLOURS)
    size = (self.zoom * moving.shape[2], self.zoom * moving.shape[1])
    images = [
      Image.fromarray(picture)
      .quantize(palette=palette, dither=Image.Dither.NONE)
      .resize(size, Image.Resampling.NEAREST)
      for picture in moving
    ]
    images[0].save(
      fname,
      format="GIF",
      save_all=True,
      append_images=images[1:],
      duration=10 * round(100 * self.seconds_per_picture),
      loop=0,
    )


def film(
  pictures: np.ndarray,
  *,
  seconds_per_picture: float = 0.1,
  height: int = 240,
  caption: str,
  file: str = "film",
) -> Picture:
  """A film of pictures [time, height, width, 3] in [0, 1], enlarged to about `height` pixels.

  Of more than `LONGEST` pictures every second, third... is taken, and stays as much longer.
  """
  every = math.ceil(len(pictures) / LONGEST)
  moving = Film()
  moving.pictures = np.asarray(pictures[::every])
  moving.seconds_per_picture = every * seconds_per_picture
  moving.zoom = max(1, height // pictures.shape[1])
  return Picture(file, moving, caption)


def values_over_frames(
  pictures: np.ndarray,
  values: np.ndarray,
  actions: Sequence[str],
  *,
  title: str,
  caption: str,
  file: str = "values_over_frames",
) -> Picture:
  """Pictures [n, height, width, 3] above the values [n, action] of what can be done in them."""
  count = len(pictures)
  figure, grid = new_figure(title, rows=2, columns=count, panel_inches=(2.1, 2.0))
  floor = min(0.0, float(values.min()))
  top = max(0.0, float(values.max()))
  room = 0.08 * (top - floor or 1.0)
  for column in range(count):
    above, below = grid[:, column]
    above.imshow(pictures[column], interpolation="nearest")
    above.set_axis_off()
    best = int(np.argmax(values[column]))
    colours = [stroke(0).colour if action == best else "#bbbbbb" for action in range(len(actions))]
    below.bar(range(len(actions)), values[column], color=colours, edgecolor=INK, linewidth=0.6)
    label_axes(below, "", "expected return" if column == 0 else "")
    below.set_xticks(range(len(actions)), actions, rotation=45 if len(actions) > 3 else 0)
    below.set_ylim(floor - room, top + room)
  return Picture(file, figure, caption)


def value_map(
  values: np.ndarray,
  policy: np.ndarray,
  lines: Sequence[str],
  *,
  title: str,
  names: Sequence[str],
  caption: str,
  file: str = "value_map",
) -> Picture:
  """Maps [n, rows, columns] of values side by side, with arrows for the best actions.

  `policy` holds 0 to 3 for up, right, down, left, and -1 where nothing is done. `lines` is the map
  in letters: walls, pits and the goal are marked by them.
  """
  figure, grid = new_figure(title, columns=len(values), panel_inches=(3.9, 3.3))
  low, high = float(np.min(values)), float(np.max(values))
  marks = "↑→↓←"
  for axes, value, best, name in zip(grid[0], values, policy, names, strict=True):
    letters = np.array([list(line) for line in lines])
    shown = np.ma.masked_where(letters == "#", value)
    axes.set_facecolor("#444444")
    axes.imshow(shown, cmap="cividis", vmin=low, vmax=high)
    for row, column in np.ndindex(value.shape):
      text = letters[row, column] if best[row, column] < 0 else marks[best[row, column]]
      bright = value[row, column] > low + 0.6 * (high - low) and letters[row, column] != "#"
      colour = "black" if bright else "white"
      axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=12)
    label_axes(axes, "column", "row", name)
    axes.grid(False)
    axes.set_xticks(range(value.shape[1]))
    axes.set_yticks(range(value.shape[0]))
  figure.colorbar(
    grid[0, 0].images[0], ax=list(grid[0]), label="value (expected discounted return)", shrink=0.9
  )
  return Picture(file, figure, caption)
