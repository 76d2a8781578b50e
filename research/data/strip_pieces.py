"""Cuts a strip of digits into pieces of one digit each, by rules alone, as one did before 2013.

Connected ink is a piece; ink too low for a digit belongs to the one that it lies above or below, or
is dropped as clutter; a piece too wide for one digit is cut into several, where there is least ink.
The sizes in these rules are those of `research.data.digit_strips`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Int, UInt8

from research.data.spec import Arrays

INK = 64  # of 255: a pixel of at least that belongs to a stroke
LEAST_HEIGHT = 10  # pixels of a digit; scraps have 6
DIGIT_WIDTH, DIGIT_STEP = 14, 14.5  # pixels: of a digit, and from one to the next, on average
AROUND_CUT = 4  # columns to both sides of an even cut, among which the emptiest is taken
SIDE = 32  # pixels of a piece
TOUCHING = np.ones((3, 3))  # diagonal neighbours are connected too


class Pieces(NamedTuple):
  """Pieces of several strips, strip by strip and from left to right.

  Attributes:
    images: each piece alone, in the middle of a square.
    counts: how many each strip has.
  """

  images: UInt8[np.ndarray, "piece side side 1"]
  counts: Int[np.ndarray, " strip"]


def cut(strips: UInt8[np.ndarray, "strip height width 1"]) -> Pieces:
  """The pieces of all strips."""
  found = [list(_pieces(strip[..., 0])) for strip in strips]
  images = np.array([piece for pieces in found for piece in pieces], np.uint8)
  return Pieces(images.reshape(-1, SIDE, SIDE, 1), np.array(list(map(len, found)), np.int32))


def cut_and_labelled(strips: Mapping[str, np.ndarray]) -> Arrays:
  """The pieces with their digits, of those strips that are cut into as many as they have digits.

  Returns:
    {"image": uint8 [pieces, 32, 32, 1], "label": int32 [pieces]}.
  """
  images, counts = cut(strips["image"])
  is_right = counts == strips["length"]
  digits = strips["digits"][is_right]
  return {"image": images[np.repeat(is_right, counts)], "label": digits[digits >= 0]}


def _pieces(strip: UInt8[np.ndarray, "height width"]) -> Iterator[UInt8[np.ndarray, "side side"]]:
  marks, count = scipy.ndimage.label(strip >= INK, TOUCHING)
  boxes = list(enumerate(scipy.ndimage.find_objects(marks), start=1))
  is_digit = lambda box: box[0].stop - box[0].start >= LEAST_HEIGHT
  low = [(mark, box[1]) for mark, box in boxes if not is_digit(box)]
  digits = [(mark, box[1]) for mark, box in boxes if is_digit(box)]
  for mark, columns in sorted(digits, key=lambda digit: digit[1].start):
    is_own = np.arange(count + 1) == mark
    is_own[[other for other, its in low if 2 * _common(its, columns) > its.stop - its.start]] = True
    yield from _split(strip * is_own[marks])


def _common(first: slice, second: slice) -> int:
  """Columns that both have."""
  return min(first.stop, second.stop) - max(first.start, second.start)


def _split(ink: UInt8[np.ndarray, "height width"]) -> Iterator[UInt8[np.ndarray, "side side"]]:
  """The digits of connected ink, by its width."""
  by_column = ink.sum(axis=0, dtype=int)
  (there,) = by_column.nonzero()
  first, end = there[0], there[-1] + 1
  count = 1 + max(0, round((end - first - DIGIT_WIDTH) / DIGIT_STEP))
  edges = [first]
  for even in np.linspace(first, end, count + 1)[1:-1].round().astype(int):
    near = slice(even - AROUND_CUT, even + AROUND_CUT + 1)
    edges.append(near.start + int(by_column[near].argmin()))
  for left, right in zip(edges, [*edges[1:], end], strict=True):
    yield _centred(ink[:, left:right])


def _centred(ink: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "side side"]:
  ink = ink[:SIDE, :SIDE]
  piece = np.zeros((SIDE, SIDE), np.uint8)
  left = (SIDE - ink.shape[1]) // 2
  piece[: len(ink), left : left + ink.shape[1]] = ink
  return piece
