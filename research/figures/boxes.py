"""Images with boxes on them: what there is, and what was found."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Num
from matplotlib.patches import Rectangle

from research.figures.style import INK, new_figure
from research.report import Picture

TILE_INCHES = 1.35
COLOURS = ("#ffe14a", "#4ad8ff")  # seen on dark images and told apart in grey by the dashes
DASHES = ("-", (0, (4, 2)))


class Boxed(NamedTuple):
  """Boxes on one image, as (top, left, bottom, right) with ends excluded, and a word for each."""

  box: Num[np.ndarray, "boxes 4"]
  words: Sequence[str]


def boxes_on_images(
  images: Num[np.ndarray, "images height width"],
  rows: Mapping[str, Sequence[Boxed]],
  *,
  title: str,
  caption: str,
  file: str = "boxes",
) -> Picture:
  """The same images in each row, with the boxes that the row has on each of them.

  Words stand above their boxes, or in them where there is no room.
  """
  figure, grid = new_figure(title, len(rows), len(images), (TILE_INCHES, TILE_INCHES))
  for number, (name, row) in enumerate(rows.items()):
    for axes, image, (boxes, words) in zip(grid[number], images, row, strict=True):
      axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
      axes.set_xticks([])
      axes.set_yticks([])
      colour, dashes = COLOURS[number % 2], DASHES[number % 2]
      for (top, left, bottom, right), word in zip(boxes.tolist(), words, strict=True):
        corner = left - 0.5, top - 0.5  # pixels are centred on whole numbers
        sides = right - left, bottom - top
        frame = Rectangle(corner, *sides, fill=False, edgecolor=colour, linestyle=dashes)
        axes.add_patch(frame)
        is_room = top >= 10
        axes.text(
          left,
          top - 1.5 if is_room else top + 0.5,
          word,
          va="bottom" if is_room else "top",
          fontsize=8,
          color=colour,
          clip_on=True,
        )
    grid[number, 0].set_ylabel(name, fontsize=10, color=INK)
  return Picture(file, figure, caption)
