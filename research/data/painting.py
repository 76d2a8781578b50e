"""Pictures pasted over one another, in whole numbers: the same on every machine; smaller ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, UInt8


def paste(
  image: UInt8[Array, "side side"], size: Int[Array, ""], place: Int[Array, "2"], canvas: int
) -> Int[Array, "canvas canvas"]:
  """The image, scaled bilinearly to `size`, on a canvas of zeros.

  Pixel u of the scaled image is at (u + 1/2) * side / size - 1/2 of the old one, as in other
  libraries' resizing, rounded down to a 256th of a pixel; so all sums are below 2^24 and exact.
  """
  side = len(image)

  def weights(first: Int[Array, ""]) -> Float[Array, "canvas side"]:
    u = jnp.arange(canvas) - first
    at = jnp.clip(((2 * u + 1) * side - size) * 128 // size, 0, 256 * (side - 1))
    near = jnp.maximum(0, 256 - jnp.abs(at[:, None] - 256 * jnp.arange(side)[None]))
    return jnp.where(((u >= 0) & (u < size))[:, None], near, 0).astype(jnp.float32)

  exact = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
  total = exact(exact(weights(place[0]), image.astype(jnp.float32)), weights(place[1]).T)
  return total.astype(int) >> 16


def painted(
  canvas: Int[Array, "size size channel"],
  layers: Int[Array, "layers size size"],
  colours: Int[Array, "layers channel"],
) -> Int[Array, "size size channel"]:
  """The canvas under layers of one colour each, which cover it by four times their level."""

  def over(canvas: Array, layer: tuple[Array, Array]) -> tuple[Array, None]:
    level, colour = layer[0][..., None], layer[1][None, None]
    opacity = jnp.minimum(255, 4 * level)
    return (colour * level // 255 * opacity + canvas * (255 - opacity)) // 255, None

  return jax.lax.scan(over, canvas, (layers, colours))[0]


def tight_box(mask: Bool[Array, "size size"]) -> Int[Array, "4"]:
  """Top, left, bottom and right of what is set; zeros where nothing is."""
  rows, columns = mask.any(axis=1), mask.any(axis=0)
  first, end = jnp.argmax, lambda line: len(line) - jnp.argmax(line[::-1])
  box = jnp.stack([first(rows), first(columns), end(rows), end(columns)])
  return jnp.where(mask.any(), box, 0)


def halved(
  images: Num[np.ndarray, "n height width c"],
) -> Float[np.ndarray, "n half_height half_width c"]:
  """The mean of each 2x2 pixels; an odd last row or column is left out."""
  height, width = (size // 2 for size in images.shape[1:3])
  even = images[:, : 2 * height, : 2 * width]
  return even.reshape(len(images), height, 2, width, 2, -1).mean(axis=(2, 4))
