"""One object on a dark ground: images of one class among those of others, moved and scaled.

The test of Le et al. 2012 in small: a digit stands for their faces, garments for the distractors.
A linear filter looks for its class at one place and in one size, and finds it nowhere else.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int, UInt8

from research.batch import by_parts
from research.data import painting, sets
from research.errors import UserError

BLOCK = 500  # images pasted at once


class World(NamedTuple):
  """The limits of the images.

  Attributes:
    size: pixels along a side.
    smallest: pixels along a side of an object's image.
    largest: likewise.
    moved: pixels by which its place may be off the middle, along each side.
    digit: the class among MNIST's; Fashion-MNIST's are the distractors.
    share: of images that show the digit.
  """

  size: int = 32
  smallest: int = 16
  largest: int = 22
  moved: int = 3
  digit: int = 0
  share: float = 0.35


class Objects(NamedTuple):
  """The images, and whether each shows an object of the class."""

  image: UInt8[np.ndarray, "image size size 1"]
  is_class: Bool[np.ndarray, " image"]


def make(world: World, split: str, seed: int, count: int) -> Objects:
  """So many images, made of the "train" or the "test" part of the sets.

  Raises:
    UserError: for objects that do not fit.
  """
  if not 1 <= world.smallest <= world.largest <= world.size - 2 * world.moved:
    raise UserError(
      f"objects of {world.smallest} to {world.largest} pixels, moved by {world.moved}, on "
      f"{world.size}: give sizes in order, and at least {world.largest + 2 * world.moved} pixels"
    )
  rng = np.random.default_rng([seed, split == "test"])
  digits, garments = (getattr(sets.load(name), split) for name in ("mnist", "fashion_mnist"))
  digits = digits["image"][digits["label"] == world.digit]
  is_class = rng.random(count) < world.share
  of_digits, of_garments = (
    images[rng.integers(0, len(images), count)] for images in (digits, garments["image"])
  )
  image = np.where(is_class[:, None, None, None], of_digits, of_garments)[..., 0]
  size = rng.integers(world.smallest, world.largest + 1, count)
  moved = rng.integers(-world.moved, world.moved + 1, (count, 2))
  return Objects(
    placed(image, size, (world.size - size[:, None]) // 2 + moved, world.size), is_class
  )


def placed(
  images: UInt8[np.ndarray, "image side side"],
  size: Int[np.ndarray, " image"],
  place: Int[np.ndarray, "image 2"],
  canvas: int,
) -> UInt8[np.ndarray, "image canvas canvas 1"]:
  """The images scaled and put on dark canvases, their upper left corners at the places."""
  paste = jax.jit(jax.vmap(lambda image, size, place: painting.paste(image, size, place, canvas)))
  pasted = by_parts(lambda part: paste(*part), (images, size, place), BLOCK)
  return pasted.astype(np.uint8)[..., None]
