"""Strips of one to five handwritten digits in a row, with clutter, made from single digits.

They stand for the house numbers of Goodfellow et al. 2013, which nobody has to download: a strip is
a pure function of the digits' images, of a seed and of its number, so that sets of any size need no
disk. Neighbours stand so close that many touch or overlap; two scraps of other digits lie about.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt8

from research.data import sets
from research.data.spec import Arrays

HEIGHT, WIDTH = 32, 96  # pixels of a strip
LONGEST = 5  # digits
MARGIN = 4  # empty pixels at each edge of an image of MNIST
STEPS = (12, 17)  # pixels from a digit to the next one, at least and at most
ROWS = (1, 3)  # where the upper edge of a digit's image lies; those around its centre in the strip
OFF_CENTRE = 3  # pixels by which the number lies beside the middle, at most
SCRAPS, SCRAP = 2, 6  # pieces of other digits, and their height and width
DRAWN = 2 + 3 * LONGEST + 5 * SCRAPS  # numbers for a strip
BLOCK = 500  # strips that are made at once; it bounds the memory


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
  return strips(digits["image"], digits["label"], seed, np.arange(count))


def strips(
  images: UInt8[np.ndarray, "digit side side 1"],
  labels: Int[np.ndarray, " digit"],
  seed: int,
  numbers: Int[np.ndarray, " strip"],
) -> Arrays:
  """The strips of these numbers.

  Returns:
    {"image": uint8 [n, 32, 96, 1], "length": int32 [n], from 1 to 5, "digits": int32 [n, 5], with
    -1 behind the last digit}.
  """
  parts = _strips(jnp.asarray(images), jnp.asarray(labels), jax.random.key(seed), numbers)
  return dict(zip(("image", "length", "digits"), map(np.asarray, parts), strict=True))


@jax.jit
def _strips(
  images: Array, labels: Array, key: Key[Array, ""], numbers: Array
) -> tuple[Array, Array, Array]:
  strip = lambda number: _strip(images, labels, jax.random.fold_in(key, number))
  return jax.lax.map(strip, numbers, batch_size=BLOCK)


def _strip(images: Array, labels: Array, key: Key[Array, ""]) -> tuple[Array, Array, Array]:
  """One strip, its length and its digits."""
  # One call draws all, since each would be compiled by itself, which takes seconds.
  shares = iter(jax.random.uniform(key, (DRAWN,)))
  side, number = images.shape[1], jnp.arange(LONGEST)
  length = _drawn(shares, 1, LONGEST)
  which = _all_drawn(shares, LONGEST + SCRAPS, 0, len(images) - 1)
  starts = jnp.cumsum(_all_drawn(shares, LONGEST, *STEPS))
  starts -= starts[0]
  room = WIDTH - (starts[length - 1] + side - 2 * MARGIN)
  left = jnp.clip(room // 2 + _drawn(shares, -OFF_CENTRE, OFF_CENTRE), 0, room) - MARGIN
  ends = jnp.where(number < length, side, 0)  # an image that ends before its first pixel is none
  whole = lambda size, offsets: _shift(size, side, offsets, jnp.zeros_like(ends), ends)
  down = [whole(HEIGHT, _all_drawn(shares, LONGEST, *ROWS))]
  along = [whole(WIDTH, left + starts)]
  for size, matrices in ((HEIGHT, down), (WIDTH, along)):
    # A scrap is what is left of an image between an origin in it and the scrap's size.
    origin = _all_drawn(shares, SCRAPS, MARGIN, side - MARGIN - SCRAP)
    place = _all_drawn(shares, SCRAPS, 0, size - SCRAP)
    matrices.append(_shift(size, side, place - origin, origin, origin + SCRAP))
  inks = images[which, :, :, 0].astype(float)
  placed = jnp.einsum("kyr,krc,kxc->kyx", jnp.concatenate(down), inks, jnp.concatenate(along))
  strip = placed.max(axis=0)[..., None].astype(jnp.uint8)
  digits = jnp.where(number < length, labels[which[:LONGEST]], -1)
  return strip, length.astype(jnp.int32), digits.astype(jnp.int32)


def _drawn(shares: Iterator[Array], low: int, high: int) -> Array:
  """A whole number from low to high, both among them."""
  return low + jnp.floor(next(shares) * max(high - low + 1, 1)).astype(jnp.int32)


def _all_drawn(shares: Iterator[Array], count: int, low: int, high: int) -> Array:
  """So many of them."""
  return jnp.stack([_drawn(shares, low, high) for _ in range(count)])


def _shift(size: int, side: int, offsets: Array, low: Array, high: Array) -> Array:
  """For each stamp the matrix [size, side] that moves its lines from low to high by an offset.

  A product with such matrices is many times as fast on a CPU as writing into a strip.
  """
  line, to = jnp.arange(side)[None, None], jnp.arange(size)[None, :, None]
  of_stamp = lambda values: values[:, None, None]
  is_kept = (of_stamp(low) <= line) & (line < of_stamp(high))
  return (is_kept & (to - of_stamp(offsets) == line)).astype(float)
