"""Max and average pooling of NHWC images.

Windows that tile the image (strides equal to the window, no padding) have their own gradients: on
the CPU the gradient of `lax.reduce_window` makes a SimpleConvNet step three times as long.
"""

import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]
Pooled = Float[Array, "batch pooled_height pooled_width channel"]
Pair = tuple[int, int]
Padding = Literal["VALID", "SAME"] | tuple[Pair, Pair]
Pool = Callable[[Images], Pooled]


def max_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID"
) -> Pooled:
  """The maximum of each window; the strides default to the window.

  At ties, tiling windows share the gradient equally among the maxima; for others
  `lax.reduce_window` gives it to the first.
  """
  if strides in (None, window) and padding == "VALID":
    return _max_pool_tiles(_whole_tiles(x, window), window)
  return linen.max_pool(x, window, strides or window, padding)


def avg_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID"
) -> Pooled:
  """The mean of each window, padding counted as zeros; the strides default to the window."""
  if strides in (None, window) and padding == "VALID":
    return _avg_pool_tiles(_whole_tiles(x, window), window)
  return linen.avg_pool(x, window, strides or window, padding)


def _whole_tiles(x: Images, window: Pair) -> Float[Array, "batch _ _ channel"]:
  """Without the last rows and columns that fill no window."""
  height, width = (size - size % step for size, step in zip(x.shape[1:3], window, strict=True))
  return x[:, :height, :width]


def _tiles(x: Images, window: Pair) -> list[Pooled]:
  """One strided slice per position within the window."""
  return [
    x[:, row :: window[0], column :: window[1]]
    for row in range(window[0])
    for column in range(window[1])
  ]


def _spread(y: Pooled, window: Pair) -> Images:
  """Repeats each value over its window."""
  batch, height, width, channels = y.shape
  y = jnp.broadcast_to(
    y[:, :, None, :, None], (batch, height, window[0], width, window[1], channels)
  )
  return y.reshape(batch, height * window[0], width * window[1], channels)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool_tiles(x: Images, window: Pair) -> Pooled:
  return functools.reduce(jnp.maximum, _tiles(x, window))


def _max_pool_tiles_forward(x: Images, window: Pair) -> tuple[Pooled, tuple[Images, Pooled]]:
  y = _max_pool_tiles(x, window)
  return y, (x, y)


def _max_pool_tiles_backward(
  window: Pair, residuals: tuple[Images, Pooled], cotangent: Pooled
) -> tuple[Images]:
  x, y = residuals
  ties = sum((tile == y).astype(x.dtype) for tile in _tiles(x, window))
  share = cotangent / ties
  return (jnp.where(x == _spread(y, window), _spread(share, window), 0.0),)


_max_pool_tiles.defvjp(_max_pool_tiles_forward, _max_pool_tiles_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _avg_pool_tiles(x: Images, window: Pair) -> Pooled:
  return functools.reduce(jnp.add, _tiles(x, window)) / (window[0] * window[1])


_avg_pool_tiles.defvjp(
  lambda x, window: (_avg_pool_tiles(x, window), None),
  lambda window, _, cotangent: (_spread(cotangent / (window[0] * window[1]), window),),
)
