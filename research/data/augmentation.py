"""Augmentation: other images of the same class, drawn inside of the compiled step.

A transformation takes one image [height, width, channel] and a key. Where it moves pixels by parts
of one, the image is re-sampled bilinearly; what comes from outside of it is 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research.layers.batch_axis import batch_keys

Image = Float[Array, "height width channel"]
Scalar = float | Float[Array, ""]
Transformation = Callable[[Key[Array, ""], Image], Image]


def affine(image: Image, matrix: Float[Array, "2 2"], shift: Float[Array, "2"]) -> Image:
  """The image whose pixel at p, from the centre, is the old one's at `matrix` p - `matrix` shift.

  Rows come first, distances are in pixels: the picture moves by `shift`.
  """
  height, width, _ = image.shape
  centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
  rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
  offsets = jnp.stack([rows, columns]).reshape(2, -1) - (centre + shift)[:, None]
  return _sampled(image, (matrix @ offsets + centre[:, None]).reshape(2, height, width))


def _sampled(image: Image, places: Float[Array, "2 height width"]) -> Image:
  sample = lambda channel: jax.scipy.ndimage.map_coordinates(channel, list(places), order=1)
  return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


def rotate(degrees: Scalar) -> Transformation:
  """By an angle uniform in [-degrees, degrees]."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    angle = jnp.deg2rad(jax.random.uniform(key, minval=-1.0) * degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return affine(image, jnp.array([[cos, -sin], [sin, cos]]), jnp.zeros(2))

  return apply


def shift(pixels: Scalar) -> Transformation:
  """Along both axes by distances uniform in [-pixels, pixels]."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    return affine(image, jnp.eye(2), jax.random.uniform(key, (2,), minval=-1.0) * pixels)

  return apply


def scale(share: Scalar) -> Transformation:
  """By a factor uniform in [1 - share, 1 + share]."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    factor = 1 + jax.random.uniform(key, minval=-1.0) * share
    return affine(image, jnp.eye(2) / factor, jnp.zeros(2))

  return apply


def elastic(strength: Scalar, reach: float = 4.0) -> Transformation:
  """Every pixel from elsewhere, neighbours from nearly the same way off (Simard et al. 2003).

  Displacements uniform in [-1, 1] are smoothed by a Gaussian with a standard deviation of `reach`
  pixels and multiplied by `strength`: the paper's sigma and alpha, which it sets to 4 and 34.
  """

  def smoothing(size: int) -> Float[Array, "size size"]:
    bell = lambda distance: np.exp(-0.5 * np.square(distance / reach))
    apart = np.arange(size)[:, None] - np.arange(size)
    return jnp.asarray(bell(apart) / bell(np.arange(-10 * size, 10 * size + 1)).sum())

  def apply(key: Key[Array, ""], image: Image) -> Image:
    height, width, _ = image.shape
    rough = jax.random.uniform(key, (2, height, width), minval=-1.0)
    smooth = smoothing(height) @ rough @ smoothing(width)
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    return _sampled(image, jnp.stack([rows, columns]) + strength * smooth)

  return apply


def crop(pixels: int) -> Transformation:
  """A random window of the image's own size after `pixels` zeros are set around it."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    padded = jnp.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)))
    row, column = jax.random.randint(key, (2,), 0, 2 * pixels + 1)
    return jax.lax.dynamic_slice(padded, (row, column, 0), image.shape)

  return apply


def flip() -> Transformation:
  """Left and right exchanged in half of the cases."""
  return lambda key, image: jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def brightness(share: Scalar) -> Transformation:
  """All intensities times one factor uniform in [1 - share, 1 + share], kept within [0, 1]."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    return jnp.clip(image * (1 + jax.random.uniform(key, minval=-1.0) * share), 0, 1)

  return apply


def one_after_another(*transformations: Transformation) -> Transformation:
  """All of them, each with a key of its own; without any, the image itself."""

  def apply(key: Key[Array, ""], image: Image) -> Image:
    for number, transformation in enumerate(transformations):
      image = transformation(jax.random.fold_in(key, number), image)
    return image

  return apply


def augment(
  transformation: Transformation,
  key: Key[Array, ""],
  images: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height width channel"]:
  """Every image by itself; what becomes of it depends on the key and on its place in the batch."""
  return jax.vmap(transformation)(batch_keys(key, len(images)), images)
