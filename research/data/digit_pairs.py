"""Strips of two overlapping handwritten digits, with their sum, and the two pieces of a strip.

They are made from single digits, so that sets of any size need no disk: a strip is a function of
the digits' images, of a seed and of its number. The pieces come from a rule: a strip is cut where
there is least ink, which is wrong where a digit reaches over the cut.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8

from research.data import painting, sets
from research.data.spec import Arrays

WIDTH = 48  # pixels of a strip before it is halved
FURTHEST = 4  # pixels from the strip's left edge to the first image, at most
STEPS = (9, 14)  # pixels from the first image to the second one, at least and at most
AROUND = 3  # columns to both sides of the middle of the ink, among which the emptiest is the cut
PIECE = 16  # columns of a piece


def load(part: str, count: int, seed: int) -> Arrays:
  """The first strips of a seed, of MNIST's training digits or of its test digits.

  Args:
    part: "train" or "test", whose digits are of other images.
    count: of strips.
    seed: strips of another seed are others.

  Returns:
    As `strips`.

  Raises:
    DataUnavailableError: MNIST cannot be had.
  """
  digits = getattr(sets.load("mnist"), part)
  shares = np.random.default_rng(seed).random((count, 4))
  return strips(np.asarray(digits["image"]), np.asarray(digits["label"]), shares)


def strips(
  images: UInt8[np.ndarray, "digit 28 28 1"],
  labels: Int[np.ndarray, " digit"],
  shares: Float[np.ndarray, "strip 4"],
) -> Arrays:
  """Strips of half the images' resolution; where digits overlap, the darker ink is seen.

  Args:
    images: of single digits.
    labels: their digits.
    shares: numbers in [0, 1) that choose a strip's two images and their places.

  Returns:
    {"image": uint8 [n, 14, 24, 1], "label": int32 [n], the sum, "digits": int32 [n, 2]}.
  """
  count, side = len(shares), images.shape[1]
  which = (shares[:, :2] * len(labels)).astype(int)
  first = (shares[:, 2] * (FURTHEST + 1)).astype(int)
  second = first + STEPS[0] + (shares[:, 3] * (STEPS[1] - STEPS[0] + 1)).astype(int)
  strip = np.zeros((count, side, WIDTH), np.uint8)
  for place, start in enumerate((first, second)):
    columns = np.broadcast_to((start[:, None] + np.arange(side))[:, None], (count, side, side))
    ink = np.maximum(np.take_along_axis(strip, columns, axis=2), images[which[:, place], ..., 0])
    np.put_along_axis(strip, columns, ink, axis=2)
  digits = labels[which].astype(np.int32)
  return {
    "image": painting.halved(strip[..., None]).astype(np.uint8),
    "label": digits.sum(axis=1, dtype=np.int32),
    "digits": digits,
  }


def pieces(images: UInt8[np.ndarray, "strip height width 1"]) -> UInt8[np.ndarray, "..."]:
  """Both pieces of each strip, cut at the emptiest column near the middle of its ink.

  Returns:
    [strip, 2, height, 16, 1], the left piece first, each in the middle of its image.
  """
  width = images.shape[2]
  ink = images[..., 0].sum(axis=1, dtype=int)
  first, end = (ink > 0).argmax(axis=1), width - (ink[:, ::-1] > 0).argmax(axis=1)
  by_distance = np.array(sorted(range(-AROUND, AROUND + 1), key=abs))  # the nearest of equals
  near = np.clip((first + end)[:, None] // 2 + by_distance, 0, width - 1)
  emptiest = np.take_along_axis(ink, near, axis=1).argmin(axis=1)
  cut = near[np.arange(len(near)), emptiest]
  both = [_centred(images, first, cut), _centred(images, cut, end)]
  return np.stack(both, axis=1)


def _centred(
  images: UInt8[np.ndarray, "strip height width 1"],
  left: Int[np.ndarray, " strip"],
  right: Int[np.ndarray, " strip"],
) -> UInt8[np.ndarray, "strip height piece 1"]:
  """The columns from left to right, without the latter."""
  columns = ((left + right - PIECE) // 2)[:, None] + np.arange(PIECE)
  is_own = (left[:, None] <= columns) & (columns < right[:, None])
  there = np.where(is_own, columns, 0)[:, None, :, None]
  return np.take_along_axis(images, there, axis=2) * is_own[:, None, :, None]
