"""Images of a dev set in which faults of known shares are planted, each of which can be cured.

The noise of an image and its wrong label depend on the set's seed alone: a set without one of its
faults is otherwise the same, so that the difference of two errors is what the cure brings.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int

Images = Float[np.ndarray, "images height width 1"]
WRONG = "wrong label"


def turn(images: np.ndarray, degrees: float) -> np.ndarray:
  """Images [images, height, width, channel] turned to the left, of equal size and type."""
  return scipy.ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1)


def noisy(images: Images, rng: np.random.Generator) -> Images:
  """Gaussian noise."""
  return images + 0.7 * rng.normal(size=images.shape)


def blurred(images: Images, rng: np.random.Generator) -> Images:
  """A Gaussian filter."""
  return scipy.ndimage.gaussian_filter(images, 2.5, axes=(1, 2))


def covered(images: Images, rng: np.random.Generator) -> Images:
  """A white square over the middle."""
  images = images.copy()
  images[:, 8:20, 8:20] = 1
  return images


def turned(images: Images, rng: np.random.Generator) -> Images:
  """60 degrees to the left."""
  return turn(images, 60)


def faint(images: Images, rng: np.random.Generator) -> Images:
  """Little ink on grey paper."""
  return 0.5 + 0.1 * images


FAULTS: Mapping[str, Callable[[Images, np.random.Generator], Images]] = {
  "noise": noisy,
  "blur": blurred,
  "covered": covered,
  "turned": turned,
  "faint": faint,
}
TAGS = (*FAULTS, WRONG)


class DevSet(NamedTuple):
  """Images with planted faults.

  Attributes:
    image: without any, in [0, 1].
    label: the right ones.
    tags: by fault, which of the images have it.
    seed: of all that is drawn.
  """

  image: Images
  label: Int[np.ndarray, " images"]
  tags: Mapping[str, Bool[np.ndarray, " images"]]
  seed: int


def plant(
  data: Mapping[str, np.ndarray], count: int, least: float, most: float, seed: int
) -> DevSet:
  """Draws a dev set, and for each fault the share of its images, on a logarithmic scale.

  Args:
    data: "image" [examples, 28, 28, 1] of 8 bits, and "label".
    count: images of the dev set.
    least: smallest share of a fault.
    most: largest share.
    seed: of the draw; an image has each fault independently of the others.
  """
  rng = np.random.default_rng(seed)
  chosen = rng.permutation(len(data["label"]))[:count]
  shares = np.exp(rng.uniform(np.log(least), np.log(most), len(TAGS)))
  tags = {tag: rng.random(len(chosen)) < share for tag, share in zip(TAGS, shares, strict=True)}
  image = np.asarray(data["image"], np.float32)[chosen] / 255
  return DevSet(image, np.asarray(data["label"])[chosen], tags, seed)


def spoiled(made: DevSet, cured: Collection[str] = ()) -> dict[str, np.ndarray]:
  """The images and labels with all faults but the cured ones."""
  image, label = made.image.copy(), made.label.copy()
  for tag, spoil in FAULTS.items():
    has_it = made.tags[tag]
    if tag not in cured:
      image[has_it] = spoil(image[has_it], np.random.default_rng(made.seed))
  if WRONG not in cured:
    by = np.random.default_rng(made.seed).integers(1, 10, len(label))
    label = np.where(made.tags[WRONG], (label + by) % 10, label)
  return {"image": image.astype(np.float32), "label": label}
