"""Two-dimensional convolution whose gradients are as fast as its forward pass.

XLA's CPU backend has fast kernels for convolutions written as NHWC x HWIO -> NHWC, and rewrites
others into that form only outside of loops. The two gradients of a convolution are of another form,
which is why training under `scan`, `map` or `while` is 10 to 80 times slower there (jax issue
12868). `convolve` states its gradients in the fast form, and turns convolutions of one tap or
few channels into one matrix product. On other backends it is `lax.conv_general_dilated`.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax import lax
from jaxtyping import Array, Float

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Images = Float[Array, "batch height width channel"]
Kernel = Float[Array, "kernel_height kernel_width channel feature"]
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
  a convolution of few groups is one convolution per group; dilated, one- and three-dimensional
  ones, other layouts and a `precision` are lax's. The others know reverse-mode differentiation only
  there, of any order (pass lax's own function for `jax.jvp`).
  """
  last = lhs.ndim - 1
  positions = tuple(range(1, last))
  channels_last = lax.ConvDimensionNumbers(
    (0, last, *positions), (last, last - 1, *range(last - 1)), (0, last, *positions)
  )
  if dimension_numbers is None:
    dimension_numbers = channels_last
  numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
  plain = (
    lhs.ndim == 4
    and numbers == channels_last
    and precision is None
    and feature_group_count <= MOST_SPLIT_GROUPS
    and all(step == 1 for step in (*(lhs_dilation or ()), *(rhs_dilation or ())))
  )
  if plain and jax.default_backend() == "cpu":
    strides = (window_strides[0], window_strides[1])
    if isinstance(padding, str):
      padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    rows, columns = ((int(low), int(high)) for low, high in padding)
    groups = zip(
      jnp.split(lhs, feature_group_count, axis=-1),
      jnp.split(rhs, feature_group_count, axis=-1),
      strict=True,
    )
    parts = [convolve_on_cpu(x, kernel, strides, (rows, columns)) for x, kernel in groups]
    return jnp.concatenate(parts, axis=-1)
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


def convolve_on_cpu(x: Images, kernel: Kernel, strides: Pair, padding: Padding) -> Outputs:
  """Convolution in the form that the CPU backend does best: a product, banded or canonical.

  One tap is a product of all pixels with one matrix: half the time, a third for the weight
  gradient. Few channels leave the lanes of the canonical kernels idle, in both gradients too.
  """
  if kernel.shape[:2] == (1, 1):
    pixels = jnp.pad(x, ((0, 0), *padding, (0, 0)))[:, :: strides[0], :: strides[1]]
    return jnp.tensordot(pixels, kernel[0, 0], axes=1)
  if kernel.shape[2] < 8 and strides == (1, 1):
    return convolve_banded(x, kernel, strides, padding)
  return convolve_canonically(x, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_canonically(x: Images, kernel: Kernel, strides: Pair, padding: Padding) -> Outputs:
  """Convolution whose gradients are stated in the canonical form."""
  _, _, channels, features = kernel.shape
  if channels == 3 and 16 < features < 48:
    # XLA's kernels are 4 to 20 times slower for these than for fewer features, or for more.
    return convolve_banded(x, kernel, strides, padding)
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _forward(
  x: Images, kernel: Kernel, strides: Pair, padding: Padding
) -> tuple[Outputs, tuple[Images, Kernel]]:
  return convolve_canonically(x, kernel, strides, padding), (x, kernel)


def _backward(
  strides: Pair, padding: Padding, residuals: tuple[Images, Kernel], cotangent: Outputs
) -> tuple[Images, Kernel]:
  x, kernel = residuals
  return (
    input_gradient(x.shape[1:3], kernel, cotangent, strides, padding),
    weight_gradient(x, kernel.shape[:2], cotangent, strides, padding),
  )


convolve_canonically.defvjp(_forward, _backward)


def input_gradient(
  size: Sequence[int], kernel: Kernel, cotangent: Outputs, strides: Pair, padding: Padding
) -> Images:
  """Gradient for the input of this `size`: the cotangent convolved with the turned kernel."""
  if kernel.shape[:2] == strides:
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
      size, kernel.shape[:2], padding, _dilated(cotangent.shape[1:3], strides), strict=True
    )
  ]
  turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
  return lax.conv_general_dilated(
    cotangent, turned, (1, 1), pads, lhs_dilation=strides, dimension_numbers=_LAYOUT
  )


def weight_gradient(
  x: Images, size: Sequence[int], cotangent: Outputs, strides: Pair, padding: Padding
) -> Kernel:
  """Gradient for a kernel of this `size`: input and cotangent, the batch in the channels' place."""
  if strides == (1, 1) and any(map(operator.gt, cotangent.shape[1:3], x.shape[1:3])):
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
      x.shape[1:3], size, padding, _dilated(cotangent.shape[1:3], strides), strict=True
    )
  ]
  gradient = lax.conv_general_dilated(
    x.transpose(3, 1, 2, 0),
    cotangent.transpose(1, 2, 0, 3),
    (1, 1),
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
