"""Figures of agents: returns, films of episodes, action values over frames and over maps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image

from research.figures.curves import compare_curves, draw_curve, series
from research.figures.scales import say_if_empty
from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture
from research.training import Fit

COLOURS = 64  # of a film; the environments are drawn in few
MAX_PICTURES = 150  # of a film: with so many it is some hundred kilobytes


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
    # One palette for all pictures, so that nothing flickers.
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
  file: str = "policy",
) -> Picture:
  """A film of pictures [time, height, width, 3] in [0, 1], enlarged to about `height` pixels.

  Of more than `MAX_PICTURES` pictures every second, third... is taken, and stays as much longer.
  """
  every = math.ceil(len(pictures) / MAX_PICTURES)
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
  file: str = "values",
) -> Picture:
  """Pictures [n, height, width, 3] above the action values [n, action]; the best is filled."""
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
  tables: Mapping[str, Float[np.ndarray, "cell action"]],
  lines: Sequence[str],
  *,
  title: str,
  caption: str,
  file: str = "values",
) -> Picture:
  """Maps of the largest action values of several named tables, with arrows for the best actions.

  Cells are numbered row by row; the actions are up, right, down and left. `lines` is the map in
  letters: on "S" (start) and "." (floor) stand arrows, elsewhere the letters; "#" is a wall.
  """
  figure, grid = new_figure(title, columns=len(tables), panel_inches=(3.9, 3.3))
  letters = np.array([list(line) for line in lines])
  values = {name: table.max(axis=1).reshape(letters.shape) for name, table in tables.items()}
  low, high = (float(of(list(values.values()))) for of in (np.min, np.max))
  for axes, (name, table) in zip(grid[0], tables.items(), strict=True):
    value, best = values[name], table.argmax(axis=1).reshape(letters.shape)
    axes.set_facecolor("#444444")
    shown = np.ma.masked_where(letters == "#", value)
    axes.imshow(shown, cmap="cividis", vmin=low, vmax=high)
    for row, column in np.ndindex(letters.shape):
      letter = lines[row][column]
      text = "↑→↓←"[best[row, column]] if letter in "S." else letter
      bright = value[row, column] > low + 0.6 * (high - low) and letter != "#"
      colour = "black" if bright else "white"
      axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=12)
    label_axes(axes, "column", "row", name)
    axes.grid(False)
    axes.set_xticks(range(letters.shape[1]))
    axes.set_yticks(range(letters.shape[0]))
  figure.colorbar(
    grid[0, 0].images[0], ax=list(grid[0]), label="value (expected discounted return)", shrink=0.9
  )
  return Picture(file, figure, caption)


def compare_returns(
  fits: Mapping[str, Fit | Sequence[Fit]], *, title: str, caption: str, file: str = "returns"
) -> Picture:
  """Evaluation returns of several named agents over the updates, or of several seeds of each."""
  first = next(iter(fits.values()))
  config = first.config if isinstance(first, Fit) else first[0].config
  y = f"return (mean of {config.evaluation_episodes} episodes)"
  return compare_curves(fits, "test/return", title=title, y=y, caption=caption, file=file)


def returns_by_game(
  fits: Mapping[str, Fit],
  baselines: Mapping[str, float],
  *,
  title: str,
  baseline: str,
  frames_per_step: int,
  caption: str,
  file: str = "games",
) -> Picture:
  """Evaluation returns over the frames, each game in a panel with its own scale and baseline."""
  figure, grid = new_figure(title, columns=len(fits), panel_inches=(2.7, 2.9))
  for number, (axes, (game, fit)) in enumerate(zip(grid[0], fits.items(), strict=True)):
    updates, returns = series(fit.history, "test/return")
    axes.axhline(baselines[game], color="#777777", linewidth=1.2, label=baseline)
    draw_curve(axes, updates * frames_per_step / 1e6, returns, name="this agent", look=stroke(0))
    label_axes(axes, "frames (millions)", "" if number else "return", game)
    say_if_empty(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low), max(0.0, high))  # returns may be below zero
  legend_below(figure)
  return Picture(file, figure, caption)
