"""Generators and discriminators of images: DCGAN (Radford, Metz and Chintala 2016), and dense ones.

A label is given as in the paper's code: its one-hot vector stands beside the latents, and beside
the features of every hidden layer (Mirza and Osindero 2014). Beside feature maps it stands at every
pixel, and a kernel of one pixel reads it: a bias for each label.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import max_pool

KERNEL = (4, 4)  # a stride of two divides it, so that every pixel has as many taps

Images = Float[Array, "batch height width channel"]
Resized = Float[Array, "batch new_height new_width feature"]
Labels = Float[Array, "batch class"]
Weight = Float[Array, " batch"] | None


class Style(NamedTuple):
  """The guidelines that networks of both players share.

  Attributes:
    batch_norm: whether hidden layers are normalised, but for the discriminator's first.
    is_strided: whether strides change the size; else pooling and the repetition of pixels do.
    slope: of the discriminator's leaky ReLU below zero; a number or a tracer. 0 is the ReLU.
    kernel_init: initialiser of all weights.
  """

  batch_norm: bool = True
  is_strided: bool = True
  slope: float | Float[Array, ""] = 0.2
  kernel_init: linen.initializers.Initializer = linen.initializers.normal(0.02)


class Generator(linen.Module):
  """From latents to images in [-1, 1], by two fractionally strided convolutions.

  Attributes:
    shape: of an image; height and width are multiples of four.
    width: feature maps at half of the size; a quarter has twice as many.
    style: the guidelines.
  """

  shape: tuple[int, int, int]
  width: int
  style: Style = Style()

  @linen.compact
  def __call__(
    self,
    latents: Float[Array, "batch latent"],
    labels: Labels,
    train: bool = False,
    mask: Weight = None,
  ) -> Images:
    """The images; examples of weight 0 in `mask` do not count in the batch's statistics."""
    (height, width, channels), style = self.shape, self.style
    layer = {"kernel_init": style.kernel_init, "use_bias": not style.batch_norm}
    hidden = lambda x: linen.relu(BatchNorm()(x, train, mask=mask) if style.batch_norm else x)
    labels = _loud(labels)
    x = linen.Dense(height // 4 * (width // 4) * 2 * self.width, **layer)(_beside(latents, labels))
    x = hidden(x.reshape(-1, height // 4, width // 4, 2 * self.width))
    x = _larger(x, self.width, style, **layer)
    of_label = linen.Dense(self.width, use_bias=False, kernel_init=style.kernel_init)(labels)
    x = hidden(x + of_label[:, None, None])
    return jnp.tanh(_larger(x, channels, style, kernel_init=style.kernel_init))


class Discriminator(linen.Module):
  """From images in [-1, 1] to the logit that they are real, by two strided convolutions.

  Attributes:
    width: feature maps at half of the size; a quarter has twice as many.
    style: the guidelines.
  """

  width: int
  style: Style = Style()

  @linen.compact
  def __call__(self, images: Images, labels: Labels, mask: Weight = None) -> Float[Array, " batch"]:
    """The logits, normalised by the batch's own statistics."""
    style, x = self.style, images
    for number, features in enumerate((self.width, 2 * self.width)):
      is_normalised = number > 0 and style.batch_norm
      layer = {"kernel_init": style.kernel_init}
      x = _smaller(x, features, style, use_bias=not is_normalised, **layer)
      x += linen.Dense(features, use_bias=False, **layer)(labels)[:, None, None]
      if is_normalised:
        x = BatchNorm()(x, True, mask=mask)
      x = linen.leaky_relu(x, style.slope)
    return _judged(x.reshape(len(x), -1), labels, style)


class DenseGenerator(linen.Module):
  """From latents to images in [-1, 1], by dense layers.

  Attributes:
    shape: of an image.
    units: of the hidden layers.
    style: the guidelines that are not about convolutions.
  """

  shape: tuple[int, int, int]
  units: tuple[int, ...]
  style: Style = Style()

  @linen.compact
  def __call__(
    self,
    latents: Float[Array, "batch latent"],
    labels: Labels,
    train: bool = False,
    mask: Weight = None,
  ) -> Images:
    """The images; examples of weight 0 in `mask` do not count in the batch's statistics."""
    x, style, labels = latents, self.style, _loud(labels)
    for units in self.units:
      x = linen.Dense(units, kernel_init=style.kernel_init)(_beside(x, labels))
      x = linen.relu(BatchNorm()(x, train, mask=mask) if style.batch_norm else x)
    height, width, channels = self.shape
    x = linen.Dense(height * width * channels, kernel_init=style.kernel_init)(x)
    return jnp.tanh(x).reshape(-1, *self.shape)


class DenseDiscriminator(linen.Module):
  """From images in [-1, 1] to the logit that they are real, by dense layers.

  Attributes:
    units: of the hidden layers.
    style: the guidelines that are not about convolutions.
  """

  units: tuple[int, ...]
  style: Style = Style()

  @linen.compact
  def __call__(self, images: Images, labels: Labels, mask: Weight = None) -> Float[Array, " batch"]:
    """The logits, normalised by the batch's own statistics."""
    style, x = self.style, images.reshape(len(images), -1)
    for number, units in enumerate(self.units):
      x = linen.Dense(units, kernel_init=style.kernel_init)(_beside(x, labels))
      if number and style.batch_norm:
        x = BatchNorm()(x, True, mask=mask)
      x = linen.leaky_relu(x, style.slope)
    return _judged(x, labels, style)


def _beside(x: Float[Array, "batch feature"], labels: Labels) -> Float[Array, "batch both"]:
  return jnp.concatenate([x, labels], axis=1)


def _loud(labels: Labels) -> Labels:
  """The labels with a mean square of 1: among many latents a single 1 is hardly heard at first."""
  return math.sqrt(labels.shape[1]) * labels


def _judged(
  features: Float[Array, "batch feature"], labels: Labels, style: Style
) -> Float[Array, " batch"]:
  """The logits: a linear layer for all, and one for each label (Miyato and Koyama 2018)."""
  common = linen.Dense(1, kernel_init=style.kernel_init)(features)[:, 0]
  of_each = linen.Dense(labels.shape[1], kernel_init=style.kernel_init)(features)
  return common + (labels * of_each).sum(axis=1)


def _larger(x: Images, features: int, style: Style, **options: Any) -> Resized:
  """Doubles height and width: a fractionally strided convolution, or pixels repeated before one."""
  if style.is_strided:
    return linen.ConvTranspose(features, KERNEL, (2, 2), "SAME", **options)(x)
  return Conv(features, KERNEL, **options)(x.repeat(2, axis=1).repeat(2, axis=2))


def _smaller(x: Images, features: int, style: Style, **options: Any) -> Resized:
  """Halves height and width: a strided convolution, or the largest of four pixels after one."""
  convolution = Conv(features, KERNEL, 2 if style.is_strided else 1, **options)
  return convolution(x) if style.is_strided else max_pool(convolution(x))
