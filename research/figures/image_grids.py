"""Grids of images: examples as they are, and examples that a classifier got wrong."""

from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from research.figures.style import INK, WIDEST, new_figure
from research.report import Picture
from research.training import Fit, answers_of

TILE_INCHES = 0.95
CAPTION_LINE_INCHES = 0.2


def image_grid(
  images: ArrayLike,
  *,
  title: str,
  captions: Sequence[str] = (),
  note: str = "",
  columns: int = 10,
  value_range: tuple[float, float] | None = None,
  tile_inches: float = TILE_INCHES,
  caption: str,
  file: str = "image_grid",
) -> Picture:
  """Images [n, height, width] or [n, height, width, 1 or 3], each above its caption, if given.

  `note` is a line under all of them, and `tile_inches` how wide an image is. All share one scale:
  black and white are the ends of `value_range`, or the smallest and largest value of all images.
  Without images the figure says so.

  Raises ValueError for another shape and where captions are not as many as images.
  """
  pixels = np.asarray(images, float)
  if pixels.ndim == 4 and pixels.shape[3] == 1:
    pixels = pixels[..., 0]
  if pixels.ndim != 3 and not (pixels.ndim == 4 and pixels.shape[3] == 3) and pixels.size:
    raise ValueError(f"images are [n, height, width] or [n, height, width, 3], not {pixels.shape}")
  if captions and len(captions) != len(pixels):
    raise ValueError(f"{len(captions)} captions for {len(pixels)} images")
  if not len(pixels):
    return Picture(file, _nothing_to_show(title, note), caption)

  lines = [line for caption in captions for line in caption.split("\n")]
  # A tile of a wide image has the area of a square one.
  stretch = max(1.0, pixels.shape[2] / pixels.shape[1]) ** 0.5
  tile_width = max(tile_inches * stretch, 0.085 * max(map(len, lines), default=0))
  columns = min(columns, len(pixels), max(1, int(WIDEST / tile_width)))
  rows = -(-len(pixels) // columns)
  caption_height = CAPTION_LINE_INCHES * max((c.count("\n") + 1 for c in captions), default=0)
  figure, grid = new_figure(
    title, rows, columns, (tile_width, tile_inches / stretch + caption_height)
  )
  narrowest = 0.1 * max(len(title), 0.75 * len(note)) + 0.4
  figure.set_size_inches(
    max(figure.get_figwidth(), narrowest), figure.get_figheight() + (0.25 if note else 0.0)
  )
  if note:
    figure.supxlabel(note, fontsize=9.5, color=INK)
  low, high = value_range or (pixels.min(), pixels.max())
  shades = np.clip((pixels - low) / ((high - low) or 1.0), 0.0, 1.0)
  for index, axes in enumerate(grid.flat):
    axes.axis("off")
    if index >= len(shades):
      continue
    axes.imshow(shades[index], cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    if captions:
      height = shades.shape[1]
      axes.text(
        (shades.shape[2] - 1) / 2,
        height - 0.2,
        captions[index],
        ha="center",
        va="top",
        fontsize=9,
        color=INK,
      )
  return Picture(file, figure, caption)


def misclassified(
  fit: Fit,
  model: nn.Module,
  *,
  split: str = "test",
  title: str = "The first mistakes on the test images",
  caption: str = "Each image above its label and the network's answer.",
  file: str = "misclassified",
) -> Picture:
  """The first mistakes of a classifier of images on one of its fit's evaluation sets."""
  data, answers = answers_of(fit, model, split)
  return misclassified_gallery(
    data["image"],
    data["label"],
    answers,
    title=title,
    class_names=fit.training.class_names or None,
    caption=caption,
    file=file,
  )


def misclassified_gallery(
  images: ArrayLike,
  labels: Sequence[int] | np.ndarray,
  predictions: Sequence[int] | np.ndarray,
  *,
  title: str,
  class_names: Sequence[str] | None = None,
  limit: int = 20,
  columns: int = 10,
  caption: str,
  file: str = "misclassified_gallery",
) -> Picture:
  """The first `limit` mistakes among images [n, height, width(, channels)], label → prediction.

  `labels` and `predictions` are class numbers [n] of all examples, right and wrong; a line below
  says how many are wrong. `class_names` takes the place of the numbers.

  Raises ValueError where the three are not equally long.
  """
  pixels, truth, guess = np.asarray(images), np.asarray(labels), np.asarray(predictions)
  if not len(pixels) == len(truth) == len(guess):
    raise ValueError(f"{len(pixels)} images, {len(truth)} labels, {len(guess)} predictions")
  wrong = np.flatnonzero(truth != guess)
  shown = wrong[:limit]
  names = class_names or [str(k) for k in range(int(max(truth.max(), guess.max())) + 1)]
  arrow = " → " if max(map(len, names)) <= 3 else "\n→ "
  captions = [f"{names[truth[i]]}{arrow}{names[guess[i]]}" for i in shown]
  note = f"{len(wrong)} of {len(truth):,} wrong"
  if len(wrong):
    which = "all" if len(shown) == len(wrong) else f"the first {len(shown)}"
    note += f"; {which} shown as label → prediction"
  return image_grid(
    pixels[shown],
    title=title,
    captions=captions,
    note=note,
    columns=columns,
    caption=caption,
    file=file,
  )


def _nothing_to_show(title: str, note: str) -> Figure:
  figure, grid = new_figure(title, panel_inches=(5.0, 0.6))
  grid[0, 0].axis("off")
  grid[0, 0].text(0.5, 0.5, note or "no images", ha="center", va="center", color=INK)
  return figure
