"""Fully convolutional networks: a classifier of windows that answers for every pixel.

Long et al. 2015, "Fully convolutional networks for semantic segmentation". A classifier's dense
layers are convolutions whose kernel covers all that the layer sees (`as_convolutions`). Run over a
larger image, the network then gives the answers for all windows at its stride. `FCN` enlarges them
to the image's size, and adds the scores of earlier, finer layers on the way.

A window's convolutions have no padding. Those of `FCN` have, so that the cells of every layer lie
over the image; away from its border the two are equal.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.layers.bilinear import Upsample
from research.layers.convolution import Conv
from research.layers.pooling import max_pool

Images = Float[Array, "batch height width channel"]
Maps = Float[Array, "batch _ _ _"]
STRIDE = 8  # of the last layer, in pixels
SEEN = 3  # cells along a side that the first dense layer sees
WINDOW = 50  # pixels along a side that the classifier sees
# Per fusion: stride of the finest scores. The names are the paper's, whose pictures have some 500
# pixels along a side; on 64 pixels with stride 8 the grid of the coarsest is of as many cells as
# the paper's on 256.
VARIANTS = {"32s": 8, "16s": 4, "8s": 2}
DENSE = ("fc6", "fc7", "score")


class Features(nn.Module):
  """Five convolutions of 3x3, ReLU, and max pooling by two after 1, 3 and 5.

  Attributes:
    width: feature maps of the first stage; each next one has twice as many.
    padding: of the convolutions.
  """

  width: int
  padding: str

  @nn.compact
  def __call__(self, x: Images) -> tuple[Maps, Maps, Maps]:
    """The maps behind each of the three poolings."""
    pooled = []
    for stage, convolutions in enumerate((1, 2, 2)):
      for _ in range(convolutions):
        x = nn.relu(
          Conv(
            self.width << stage,
            (3, 3),
            padding=self.padding,
            kernel_init=nn.initializers.he_normal(),
          )(x)
        )
      x = max_pool(x)
      pooled.append(x)
    return pooled[0], pooled[1], pooled[2]


class WindowClassifier(nn.Module):
  """A classifier of windows of 50x50 pixels with three dense layers.

  Attributes:
    width: feature maps of the first stage; each next one has twice as many.
    hidden: units of the two hidden dense layers.
    classes: logits.
    is_convolutional: whether the dense layers are convolutions, so that larger images are taken
      and give a grid of logits.
  """

  width: int
  hidden: int
  classes: int
  is_convolutional: bool = False

  @nn.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch *grid class"]:
    """Logits of the window, or of all windows at the stride of 8 pixels."""
    _, _, x = Features(self.width, "VALID", name="features")(x)
    he = nn.initializers.he_normal()
    if self.is_convolutional:
      x = nn.relu(Conv(self.hidden, (SEEN, SEEN), padding="VALID", kernel_init=he, name="fc6")(x))
      x = nn.relu(Conv(self.hidden, (1, 1), kernel_init=he, name="fc7")(x))
      return Conv(self.classes, (1, 1), name="score")(x)
    x = x.reshape(len(x), -1)
    x = nn.relu(nn.Dense(self.hidden, kernel_init=he, name="fc6")(x))
    x = nn.relu(nn.Dense(self.hidden, kernel_init=he, name="fc7")(x))
    return nn.Dense(self.classes, name="score")(x)


def as_convolutions(params: Mapping[str, Any]) -> dict[str, Any]:
  """A window classifier's parameters for the same network with convolutions for dense layers.

  A unit's weights over [height, width, channel] are a kernel of that size. Here the first dense
  layer sees 3x3 cells, the others one.
  """
  changed = dict(params)
  for name in DENSE:
    kernel = params[name]["kernel"]
    side = SEEN if name == "fc6" else 1
    kernel = kernel.reshape(side, side, -1, kernel.shape[-1])
    changed[name] = {"kernel": kernel, "bias": params[name]["bias"]}
  return changed


def window_by_window(
  classifier: WindowClassifier, params: Mapping[str, Any], images: Images
) -> Float[Array, "batch row column class"]:
  """Logits of all windows at the stride, each cut out by itself: what one pass is to equal."""
  rows, columns = (range(0, size - WINDOW + 1, STRIDE) for size in images.shape[1:3])
  cut = [images[:, y : y + WINDOW, x : x + WINDOW] for y in rows for x in columns]
  logits = classifier.apply({"params": params}, jnp.concatenate(cut))
  by_window = logits.reshape(len(rows), len(columns), len(images), -1)
  return jnp.moveaxis(by_window, 2, 0)


def difference_from_windows(
  classifier: WindowClassifier, params: Mapping[str, Any], images: Images
) -> float:
  """The largest difference of logits of one pass and of `window_by_window`, over the largest."""
  convolutional = classifier.clone(is_convolutional=True)
  at_once = convolutional.apply({"params": as_convolutions(params)}, images)
  one_by_one = window_by_window(classifier, params, images)
  return float(jnp.abs(at_once - one_by_one).max() / jnp.abs(one_by_one).max())


class FCN(nn.Module):
  """Logits for every pixel of images whose sides are multiples of 8.

  Attributes:
    width: feature maps of the first stage; each next one has twice as many.
    hidden: channels of the two layers that were dense.
    classes: logits of a pixel.
    finest: stride in pixels of the finest scores that are added: 8, 4 or 2 (`VARIANTS`).
  """

  width: int
  hidden: int
  classes: int
  finest: int

  @nn.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch height width class"]:
    """The scores of all layers are added from the coarsest to the finest."""
    shape, he = x.shape[:3], nn.initializers.he_normal()
    *earlier, x = Features(self.width, "SAME", name="features")(x)
    x = nn.relu(Conv(self.hidden, (SEEN, SEEN), kernel_init=he, name="fc6")(x))
    x = nn.relu(Conv(self.hidden, (1, 1), kernel_init=he, name="fc7")(x))
    scores, stride = self._scores(x, STRIDE), STRIDE
    while stride > self.finest:
      stride //= 2
      finer = self._scores(earlier.pop(), stride)
      scores = Upsample(2, name=f"up_to_{stride}")(scores) + finer
    return jax.image.resize(scores, (*shape, self.classes), "bilinear")

  def _scores(self, x: Maps, stride: int) -> Maps:
    """Scores of a layer, at first all 0."""
    zeros = nn.initializers.zeros
    return Conv(self.classes, (1, 1), kernel_init=zeros, name=f"score_{stride}")(x)


def begun_with(fresh: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
  """The parameters of a network with another's in the layers of the same name."""
  return {name: given.get(name, held) for name, held in fresh.items()}
