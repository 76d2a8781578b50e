"""Max and average pooling of NHWC images.

On the CPU the gradient of `lax.reduce_window` makes a SimpleConvNet step three times as long.
Windows that tile the image (strides equal to the window) have gradients of their own instead, and
so have overlapping maxima, taken along one axis after the other.

Which values are maxima is asked by comparing them with one another, never with the maximum that was
found before: XLA may compute the values anew for the question, with another rounding, and then none
equals it.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]
Pooled = Float[Array, "batch pooled_height pooled_width channel"]
Pair = tuple[int, int]
Padding = Literal["VALID", "SAME"] | tuple[Pair, Pair]
MaxPadding = Literal["CEIL"] | Padding
Pool = Callable[[Images], Pooled]


def max_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: MaxPadding = "VALID"
) -> Pooled:
  """The maximum of each window; the strides default to the window.

  Padding never wins. "CEIL" keeps the last window of a row or column although it sticks out of the
  image, as long as it begins inside: sizes are divided by the stride and rounded up, as Caffe's
  networks do, and an image is never pooled away.

  At ties, tiling windows share the gradient equally among the maxima; others share it equally along
  columns, then along rows.
  """
  strides = strides or window
  pads = _max_pads(x.shape[1:3], window, strides, padding)
  if any(pad for pair in pads for pad in pair):
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
  if strides == window:
    return _max_pool_tiles(_whole_tiles(x, window), window)
  x = _max_pool_axis(x, 1, window[0], strides[0])
  return _max_pool_axis(x, 2, window[1], strides[1])


def first_max_pool(x: Images, window: Pair, strides: Pair, padding: tuple[Pair, Pair]) -> Pooled:
  """The maximum of each window, whose gradient goes to the first of equal maxima, as in flax's.

  First is the one in the upper row, and there the one to the left.
  """
  if any(pad for pair in padding for pad in pair):
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  x = _max_pool_axis(x, 2, window[1], strides[1], True)
  return _max_pool_axis(x, 1, window[0], strides[0], True)


def sum_pool_tiles(x: Images, window: Pair) -> Pooled:
  """The sum of each of the windows that tile the image."""
  return _avg_pool_tiles(_whole_tiles(x, window), window) * (window[0] * window[1])


def avg_pool(
  x: Images, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID"
) -> Pooled:
  """The mean of each window, padding counted as zeros; the strides default to the window."""
  if strides in (None, window) and padding == "VALID":
    return _avg_pool_tiles(_whole_tiles(x, window), window)
  return linen.avg_pool(x, window, strides or window, padding)


def adaptive_avg_pool(x: Images, size: Pair) -> Float[Array, "batch {size[0]} {size[1]} channel"]:
  """Means over size[0] x size[1] windows of nearly equal size, whatever the image's.

  Window i of n over a length m reaches from floor(i m / n) to ceil((i + 1) m / n), as in PyTorch.
  """
  rows, columns = (_window_means(m, n, x.dtype) for m, n in zip(x.shape[1:3], size, strict=True))
  return jnp.einsum("bhwc,ih,jw->bijc", x, rows, columns)


def _window_means(length: int, windows: int, dtype: DTypeLike) -> Float[Array, "windows length"]:
  """The matrix that takes a signal to its adaptive windows' means."""
  number, at = np.arange(windows)[:, None], np.arange(length)[None]
  first, last = number * length // windows, -(-(number + 1) * length // windows)
  is_inside = (first <= at) & (at < last)
  return jnp.asarray(is_inside / is_inside.sum(axis=1, keepdims=True), dtype)


def _max_pads(
  size: Sequence[int], window: Pair, strides: Pair, padding: MaxPadding
) -> tuple[Pair, ...]:
  if padding == "CEIL":
    return tuple(map(_ceil_pad, size, window, strides))
  if isinstance(padding, str):
    return tuple(jax.lax.padtype_to_pads(size, window, strides, padding))
  return padding


def _ceil_pad(length: int, taps: int, step: int) -> Pair:
  last_start = math.ceil(max(0, length - taps) / step) * step
  if last_start >= length:
    last_start -= step
  return 0, max(0, last_start + taps - length)


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


def _max_pool_tiles_backward(window: Pair, x: Images, cotangent: Pooled) -> tuple[Images]:
  beats = [x >= _spread(tile, window) for tile in _tiles(x, window)]
  is_maximum = functools.reduce(jnp.logical_and, beats).astype(x.dtype)
  return (is_maximum * _spread(cotangent / sum(_tiles(is_maximum, window)), window),)


_max_pool_tiles.defvjp(lambda x, window: (_max_pool_tiles(x, window), x), _max_pool_tiles_backward)


def _axis_slices(x: Images, axis: int, window: int, stride: int) -> list[Pooled]:
  """Slices, one for each position within the windows, along one axis."""
  last = (x.shape[axis] - window) // stride * stride
  return [jax.lax.slice_in_dim(x, at, at + last + 1, stride, axis=axis) for at in range(window)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _max_pool_axis(
  x: Images, axis: int, window: int, stride: int, is_first: bool = False
) -> Pooled:
  return functools.reduce(jnp.maximum, _axis_slices(x, axis, window, stride))


def _max_pool_axis_forward(
  x: Images, axis: int, window: int, stride: int, is_first: bool
) -> tuple[Pooled, Images]:
  return _max_pool_axis(x, axis, window, stride, is_first), x


def _max_pool_axis_backward(
  axis: int, window: int, stride: int, is_first: bool, x: Images, cotangent: Pooled
) -> tuple[Images]:
  parts = _axis_slices(x, axis, window, stride)
  beats = lambda at, other: (
    parts[at] > parts[other] if is_first and other < at else parts[at] >= parts[other]
  )
  is_maximum = [
    functools.reduce(jnp.logical_and, [beats(at, other) for other in range(window)])
    for at in range(window)
  ]
  share = cotangent / sum(found.astype(x.dtype) for found in is_maximum)
  last = (cotangent.shape[axis] - 1) * stride
  gradient = jnp.zeros_like(x)
  for at, found in enumerate(is_maximum):
    spread = [(0, 0, 0)] * x.ndim
    spread[axis] = (at, x.shape[axis] - 1 - last - at, stride - 1)
    gradient += jax.lax.pad(jnp.where(found, share, 0.0), jnp.zeros((), x.dtype), spread)
  return (gradient,)


_max_pool_axis.defvjp(_max_pool_axis_forward, _max_pool_axis_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _avg_pool_tiles(x: Images, window: Pair) -> Pooled:
  return functools.reduce(jnp.add, _tiles(x, window)) / (window[0] * window[1])


_avg_pool_tiles.defvjp(
  lambda x, window: (_avg_pool_tiles(x, window), None),
  lambda window, _, cotangent: (_spread(cotangent / (window[0] * window[1]), window),),
)
