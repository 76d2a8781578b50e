"""Two-dimensional convolution whose gradients are as fast as its forward pass.

XLA's CPU backend has fast kernels for convolutions written as NHWC x HWIO -> NHWC, and rewrites
others into that form only outside of loops. The two gradients of a convolution are of another form,
which is why training under `scan`, `map` or `while` is 10 to 80 times slower there (jax issue
12868). `convolve` states its gradients in the fast form, and turns convolutions of one tap or
few channels into one matrix product. On other backends it is `lax.conv_general_dilated`.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax import lax
from jaxtyping import Array, Float

from research.target_platform import target_platform

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Images = Float[Array, "batch height width channel"]
Kernel = Float[Array, "kernel_height kernel_width channel feature"]
Turned = Float[Array, "kernel_height kernel_width feature channel"]
Outputs = Float[Array, "batch out_height out_width feature"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")
MOST_SPLIT_GROUPS = 4


def convolve(
  lhs: Float[Array, "..."],
  rhs: Float[Array, "..."],
  window_strides: Sequence[int],
  padding: str | Sequence[Pair],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Float[Array, "..."]:
  """`lax.conv_general_dilated`, channels last; give it to `linen.Conv(conv_general_dilated=...)`.

  Without `dimension_numbers` the images are [batch, *positions, channel] and the kernel
  [*positions, channel, feature], on every backend; lax's own default has channels first. On the CPU
  a convolution of few groups is one convolution per group, one of single channels a sum over taps,
  and one over a single axis is one over images of one row; three-dimensional ones, those whose
  kernel and input are both dilated, other layouts and a `precision` are lax's. The others know
  reverse-mode differentiation only there, of any order (pass lax's own function for `jax.jvp`).
  """
  last = lhs.ndim - 1
  positions = tuple(range(1, last))
  channels_last = lax.ConvDimensionNumbers(
    (0, last, *positions), (last, last - 1, *range(last - 1)), (0, last, *positions)
  )
  if dimension_numbers is None:
    dimension_numbers = channels_last
  numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
  is_fast = (
    target_platform() == "cpu"
    and lhs.ndim in (3, 4)
    and numbers == channels_last
    and precision is None
    and is_split(feature_group_count, rhs.shape)
  )
  ones = (1,) * (last - 1)
  spread, apart = tuple(lhs_dilation or ones), tuple(rhs_dilation or ones)
  if is_fast and math.prod(spread) == 1:
    if isinstance(padding, str):
      size = [(taps - 1) * step + 1 for taps, step in zip(rhs.shape[:-2], apart, strict=True)]
      padding = lax.padtype_to_pads(lhs.shape[1:last], size, window_strides, padding)
    on_cpu = lambda *both, numbers: convolve_on_cpu(*both, *numbers)
    return _by_group(on_cpu, lhs, rhs, feature_group_count, window_strides, padding, apart)
  is_fast &= feature_group_count <= MOST_SPLIT_GROUPS
  if is_fast and math.prod((*window_strides, *apart)) == 1 and not isinstance(padding, str):
    transposed = lambda *both, numbers: convolve_transposed(*both, *numbers)
    return _by_group(transposed, lhs, rhs, feature_group_count, spread, padding)
  return lax.conv_general_dilated(
    lhs,
    rhs,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    numbers,
    feature_group_count,
    precision=precision,
  )


def is_split(groups: int, kernel: Sequence[int]) -> bool:
  """Tells whether a convolution of so many groups, with a kernel of this shape, is split here."""
  return groups <= MOST_SPLIT_GROUPS or kernel[-2] == 1


def _by_group(
  one: Callable[..., Array], lhs: Array, rhs: Array, groups: int, *numbers: Sequence[Any]
) -> Array:
  """Applies `one` to the images and the kernel of each group.

  A signal of one axis is an image of one row, for which all numbers are 1, and the padding none.
  """
  if lhs.ndim == 3:
    of_row = [((0, 0), *each) if isinstance(each[0], Sequence) else (1, *each) for each in numbers]
    images, kernel = jnp.expand_dims(lhs, 1), jnp.expand_dims(rhs, 0)
    return jnp.squeeze(_by_group(one, images, kernel, groups, *of_row), 1)
  fixed: Any = tuple(
    tuple(tuple(map(int, item)) if isinstance(item, Sequence) else int(item) for item in each)
    for each in numbers
  )
  if groups > MOST_SPLIT_GROUPS:
    return _depthwise(lhs, rhs, *fixed)
  pairs = zip(jnp.split(lhs, groups, axis=-1), jnp.split(rhs, groups, axis=-1), strict=True)
  return jnp.concatenate([one(x, kernel, numbers=fixed) for x, kernel in pairs], axis=-1)


def _depthwise(x: Array, kernel: Array, strides: Pair, padding: Padding, dilation: Pair) -> Array:
  """Convolution of each channel by itself, as a sum over taps: a sixth of lax's time in a loop.

  The result has the features of the first channel first.
  """
  taps = kernel.shape[:2]
  x = jnp.repeat(x, kernel.shape[-1] // x.shape[-1], axis=-1)
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pair, 0) for pair in padding), (0, 0, 0)])
  last = [
    (size - (tap - 1) * apart - 1) // stride * stride
    for size, tap, apart, stride in zip(x.shape[1:3], taps, dilation, strides, strict=True)
  ]
  window = lambda row, column: x[
    :, row : row + last[0] + 1 : strides[0], column : column + last[1] + 1 : strides[1]
  ]
  products = [
    window(row * dilation[0], column * dilation[1]) * kernel[row, column, 0][None, None, None]
    for row in range(taps[0])
    for column in range(taps[1])
  ]
  return functools.reduce(operator.add, products)


def convolve_on_cpu(
  x: Images, kernel: Kernel, strides: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Outputs:
  """Convolution in the form that the CPU backend does best: a product, banded or canonical.

  One tap is a product of all pixels with one matrix: half the time, a third for the weight
  gradient. Few channels leave the lanes of the canonical kernels idle, in both gradients too.
  """
  is_cropped = min(pad for pair in padding for pad in pair) < 0
  if kernel.shape[:2] == (1, 1) and not is_cropped:
    pixels = jnp.pad(x, ((0, 0), *padding, (0, 0)))[:, :: strides[0], :: strides[1]]
    return jnp.tensordot(pixels, kernel[0, 0], axes=1)
  if kernel.shape[2] < 8 and (strides, dilation) == ((1, 1), (1, 1)) and not is_cropped:
    return convolve_banded(x, kernel, strides, padding)
  return convolve_canonically(x, kernel, strides, padding, dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def convolve_canonically(
  x: Images, kernel: Kernel, strides: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Outputs:
  """Convolution whose gradients are stated in the canonical form."""
  _, _, channels, features = kernel.shape
  is_plain = dilation == (1, 1) and min(pad for pair in padding for pad in pair) >= 0
  if channels == 3 and 16 < features < 48 and is_plain:
    # XLA's kernels are 4 to 20 times slower for these than for fewer features, or for more.
    return convolve_banded(x, kernel, strides, padding)
  return lax.conv_general_dilated(
    x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=_LAYOUT
  )


def _forward(
  x: Images, kernel: Kernel, strides: Pair, padding: Padding, dilation: Pair
) -> tuple[Outputs, tuple[Images, Kernel]]:
  return convolve_canonically(x, kernel, strides, padding, dilation), (x, kernel)


def _backward(
  strides: Pair,
  padding: Padding,
  dilation: Pair,
  residuals: tuple[Images, Kernel],
  cotangent: Outputs,
) -> tuple[Images, Kernel]:
  x, kernel = residuals
  return (
    input_gradient(x.shape[1:3], kernel, cotangent, strides, padding, dilation),
    weight_gradient(x, kernel.shape[:2], cotangent, strides, padding, dilation),
  )


convolve_canonically.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_transposed(x: Images, kernel: Kernel, spread: Pair, padding: Padding) -> Outputs:
  """Convolution of pixels set `spread` apart, between zeros: the input gradient of a strided one.

  The padding is that of the image with its zeros.
  """
  size, turned, before = _strided_form(x.shape[1:3], kernel, spread, padding)
  return input_gradient(size, turned, x, spread, before)


def _transposed_forward(
  x: Images, kernel: Kernel, spread: Pair, padding: Padding
) -> tuple[Outputs, tuple[Images, Kernel]]:
  return convolve_transposed(x, kernel, spread, padding), (x, kernel)


def _transposed_backward(
  spread: Pair, padding: Padding, residuals: tuple[Images, Kernel], cotangent: Outputs
) -> tuple[Images, Kernel]:
  x, kernel = residuals
  _, turned, before = _strided_form(x.shape[1:3], kernel, spread, padding)
  gradient = weight_gradient(cotangent, kernel.shape[:2], x, spread, before)
  return convolve_on_cpu(cotangent, turned, spread, before), _turned(gradient)


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)


def _strided_form(
  size: Sequence[int], kernel: Kernel, spread: Pair, padding: Padding
) -> tuple[list[int], Turned, Padding]:
  """The strided convolution whose input gradient is the transposed one.

  Returns:
    the size of its input; its kernel; its padding.
  """
  taps = kernel.shape[:2]
  (top, bottom), (left, right) = padding
  ends = (top + bottom, left + right)
  larger = [
    length + both - tap + 1
    for length, both, tap in zip(_dilated(size, spread), ends, taps, strict=True)
  ]
  before = (
    (taps[0] - 1 - top, taps[0] - 1 - bottom),
    (taps[1] - 1 - left, taps[1] - 1 - right),
  )
  return larger, _turned(kernel), before


def _turned(kernel: Kernel) -> Turned:
  """The kernel turned by half a turn, with its channels and features exchanged."""
  return jnp.flip(kernel, (0, 1)).swapaxes(2, 3)


def input_gradient(
  size: Sequence[int],
  kernel: Kernel,
  cotangent: Outputs,
  strides: Pair,
  padding: Padding,
  dilation: Pair = (1, 1),
) -> Images:
  """Gradient for the input of this `size`: the cotangent convolved with the turned kernel."""
  if kernel.shape[:2] == strides and dilation == (1, 1):
    # Windows that do not overlap give each their own pixels: a product, a seventh of the time.
    batch, height, width, _ = cotangent.shape
    windows = jnp.einsum("bhwf,ijcf->bhiwjc", cotangent, kernel)
    pixels = windows.reshape(batch, height * strides[0], width * strides[1], -1)
    edges = [
      (-low, length + low - covered, 0)
      for length, (low, _), covered in zip(size, padding, pixels.shape[1:3], strict=True)
    ]
    return lax.pad(pixels, jnp.zeros((), pixels.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
  pads = [
    (taps - 1 - low, length + low - dilated)
    for length, taps, (low, _), dilated in zip(
      size,
      _dilated(kernel.shape[:2], dilation),
      padding,
      _dilated(cotangent.shape[1:3], strides),
      strict=True,
    )
  ]
  return lax.conv_general_dilated(
    cotangent, _turned(kernel), (1, 1), pads, strides, dilation, dimension_numbers=_LAYOUT
  )


def weight_gradient(
  x: Images,
  size: Sequence[int],
  cotangent: Outputs,
  strides: Pair,
  padding: Padding,
  dilation: Pair = (1, 1),
) -> Kernel:
  """Gradient for a kernel of this `size`: input and cotangent, the batch in the channels' place."""
  is_larger = any(map(operator.gt, cotangent.shape[1:3], x.shape[1:3]))
  if is_larger and (strides, dilation) == ((1, 1), (1, 1)):
    # XLA's kernels want the smaller one as the kernel: DeepConvNet's fourth layer, whose output is
    # larger than its input, takes 16 ms so and 160 the other way round.
    pads = [
      (taps - 1 - low, taps - 1 - high) for taps, (low, high) in zip(size, padding, strict=True)
    ]
    turned = lax.conv_general_dilated(
      cotangent.transpose(3, 1, 2, 0),
      x.transpose(1, 2, 0, 3),
      (1, 1),
      pads,
      dimension_numbers=_LAYOUT,
    )
    return jnp.flip(turned, (1, 2)).transpose(1, 2, 3, 0)
  pads = [
    (low, taps - 1 + dilated - length - low)
    for length, taps, (low, _), dilated in zip(
      x.shape[1:3],
      _dilated(size, dilation),
      padding,
      _dilated(cotangent.shape[1:3], strides),
      strict=True,
    )
  ]
  gradient = lax.conv_general_dilated(
    x.transpose(3, 1, 2, 0),
    cotangent.transpose(1, 2, 0, 3),
    dilation,
    pads,
    rhs_dilation=strides,
    dimension_numbers=_LAYOUT,
  )
  return gradient.transpose(1, 2, 0, 3)


def _dilated(size: Sequence[int], strides: Pair) -> list[int]:
  return [(length - 1) * step + 1 for length, step in zip(size, strides, strict=True)]


def convolve_banded(x: Images, kernel: Kernel, strides: Pair, padding: Padding) -> Outputs:
  """Convolution as one product: segments of image rows times a band of shifted kernels.

  A segment is what `block` neighbouring outputs look at. The band multiplies by some zeros, less
  than it multiplies by weights, but far less has to be gathered than single windows, and neither
  side of the product is narrow.
  """
  batch, _, _, channels = x.shape
  kernel_height, kernel_width, _, features = kernel.shape
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  out_height = (x.shape[1] - kernel_height) // strides[0] + 1
  out_width = (x.shape[2] - kernel_width) // strides[1] + 1
  block = max(size for size in range(1, kernel_width + 1) if out_width % size == 0)
  span = (block - 1) * strides[1] + kernel_width
  last_row = (out_height - 1) * strides[0]
  segments = jnp.stack(
    [x[:, :, at : at + span] for at in range(0, out_width * strides[1], block * strides[1])], axis=2
  ).reshape(batch, x.shape[1], out_width // block, span * channels)
  windows = jnp.concatenate(
    [segments[:, row : row + last_row + 1 : strides[0]] for row in range(kernel_height)], axis=-1
  )
  tap = jnp.arange(span)[:, None] - strides[1] * jnp.arange(block)[None]
  is_tap = jax.nn.one_hot(tap, kernel_width, dtype=kernel.dtype)
  band = jnp.einsum("sbt,htcf->hscbf", is_tap, kernel).reshape(-1, block * features)
  products = windows.reshape(-1, windows.shape[-1]) @ band
  return products.reshape(batch, out_height, out_width, features)


Conv = functools.partial(linen.Conv, conv_general_dilated=convolve)
