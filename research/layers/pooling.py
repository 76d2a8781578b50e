"""Max and average pooling of NHWC images."""

import functools
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]
Pair = tuple[int, int]
Padding = Literal["VALID", "SAME"] | tuple[Pair, Pair]


def max_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID"
) -> Images:
  """The maximum of each window; the strides default to the window.

  Windows that tile the image (strides equal to the window, no padding) are reduced with strided
  slices and `maximum`: on the CPU `lax.reduce_window` has a gradient so slow that a SimpleConvNet
  step takes three times as long. The two differ at ties: the slices share the gradient among equal
  maxima (halves at each `maximum`), `reduce_window` hands it to the first one.
  """
  strides = strides or window
  if strides == window and padding == "VALID":
    return functools.reduce(jnp.maximum, _tiles(x, window))
  return linen.max_pool(x, window, strides, padding)


def avg_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID"
) -> Images:
  """The mean of each window, padding counted as zeros; the strides default to the window."""
  strides = strides or window
  if strides == window and padding == "VALID":
    tiles = _tiles(x, window)
    return functools.reduce(jnp.add, tiles) / len(tiles)
  return linen.avg_pool(x, window, strides, padding)


def _tiles(x: Images, window: Pair) -> list[Images]:
  """One strided slice per position within the window."""
  height, width = (size - size % step for size, step in zip(x.shape[1:3], window, strict=True))
  return [
    x[:, row : height : window[0], column : width : window[1]]
    for row in range(window[0])
    for column in range(window[1])
  ]


Pool = Callable[..., Images]
