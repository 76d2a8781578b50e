"""Figures of generated images: samples, the way between two, pairs with real images, a film."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from research.figures.bars import bar_charts
from research.figures.image_grids import image_grid
from research.figures.policies import film
from research.report import Picture

Images = Float[np.ndarray, "image height width channel"]
Distances = Float[np.ndarray, "image 1"]


def sample_rows(images: Mapping[str, Images], rows: Mapping[str, int], columns: int) -> Picture:
  """The first images in [0, 1] of every name, in so many rows of each, a column for each label."""
  return image_grid(
    np.concatenate([images[name][: count * columns] for name, count in rows.items()]),
    title="Samples by label",
    note="rows: " + ", ".join(f"{count} of {name}" for name, count in rows.items()),
    columns=columns,
    value_range=(0, 1),
    caption="Every latent is drawn by itself, and none is chosen.",
    file="samples",
  )


def interpolation(images: Images, columns: int) -> Picture:
  """Images in [0, 1] of latents on lines, a line in each row."""
  return image_grid(
    images,
    title="From one latent to another",
    columns=columns,
    value_range=(0, 1),
    caption="Points at equal distances on a line between two latents, with one label in each row: "
    "a generator that knew images by heart would jump.",
    file="interpolation",
  )


def nearest_pairs(
  samples: Images, nearest: Images, distances: Distances, usual: Distances, columns: int
) -> Picture:
  """Samples, each above its nearest training image, with distances beside those of test images."""
  starts = range(0, len(samples), columns)
  rows = [part[start : start + columns] for start in starts for part in (samples, nearest)]
  return image_grid(
    np.concatenate(rows),
    title="Samples, and the nearest training images",
    note=f"median distance {np.median(distances):.1f}; of test images {np.median(usual):.1f}",
    columns=columns,
    value_range=(0, 1),
    caption="Below each sample is the nearest training image, by the distance of all pixels. "
    "Copies would be nearer than test images are.",
    file="neighbours",
  )


def measure_bars(found: Mapping[str, Any]) -> Picture:
  """The measures of several sets of images, each a named tuple of numbers."""
  names = next(iter(found.values()))._fields
  return bar_charts(
    {of: {name: getattr(values, of) for name, values in found.items()} for of in names},
    title="Generators beside real images",
    x="",
    caption="The error on test images of a 1-nearest-neighbour classifier that has learned from "
    "each set, and the distance, density and coverage by a classifier's features.",
    file="measures",
  )


def film_of_grids(
  frames: UInt8[np.ndarray, "frame image height width channel"], columns: int
) -> Picture:
  """A film whose pictures are grids of images, given as bytes: grey, or of three colours."""
  count, images, height, width, channels = frames.shape
  rows = images // columns
  tiles = frames[:, : rows * columns].reshape(count, rows, columns, height, width, channels)
  pictures = tiles.swapaxes(2, 3).reshape(count, rows * height, columns * width, channels) / 255
  return film(
    np.broadcast_to(pictures, (*pictures.shape[:3], 3)),
    seconds_per_picture=0.25,
    caption="Images of the same latents while the players learn (a film).",
    file="film",
  )
