"""What a policy does: a film of an episode, values over a frame, values and arrows over a map."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from research.figures.style import INK, label_axes, new_figure, stroke


class Film(Figure):
  """A figure that moves: saved as an animated PNG, which browsers play and others show as a still.

  The report holds pictures as PNG files, so a film needs no other way through it.
  """

  pictures: Sequence[np.ndarray] = ()
  seconds_per_picture: float = 0.1

  def savefig(self, fname: Any, **options: Any) -> None:
    """Writes the film; `options` are those of a still picture and do not matter."""
    del options
    images = [
      Image.fromarray(np.round(255 * np.asarray(picture)).astype(np.uint8))
      for picture in self.pictures
    ]
    images[0].save(
      fname,
      format="PNG",
      save_all=True,
      append_images=images[1:],
      duration=1000 * self.seconds_per_picture,
      loop=0,
    )


def film(
  pictures: np.ndarray, *, seconds_per_picture: float = 0.1, height: int = 240, most: int = 300
) -> Film:
  """A film of pictures [time, height, width, 3] in [0, 1], enlarged to about `height` pixels."""
  zoom = max(1, height // pictures.shape[1])
  moving = Film()
  moving.pictures = [
    picture.repeat(zoom, axis=0).repeat(zoom, axis=1) for picture in np.asarray(pictures[:most])
  ]
  moving.seconds_per_picture = seconds_per_picture
  return moving


def save_gif(path: Any, moving: Film) -> None:
  """The same film as a GIF file."""
  image = io.BytesIO()
  moving.savefig(image)
  with Image.open(image) as frames:
    frames.save(path, format="GIF", save_all=True, loop=0)


def values_over_frames(
  pictures: np.ndarray, values: np.ndarray, actions: Sequence[str], *, title: str
) -> Figure:
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
  return figure


def value_map(
  values: np.ndarray,
  policy: np.ndarray,
  lines: Sequence[str],
  *,
  title: str,
  names: Sequence[str],
) -> Figure:
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
  return figure
