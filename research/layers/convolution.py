"""Two-dimensional convolution whose gradients are as fast as its forward pass.

XLA's CPU backend has fast kernels for convolutions written as NHWC x HWIO -> NHWC, and rewrites
others into that form only outside of loops. The two gradients of a convolution are of another form,
which is why training under `scan`, `map` or `while` is 10 to 80 times slower there (jax issue
12868). `convolve` states its gradients in the fast form, and turns convolutions of few channels
into one matrix product. On other backends it is `lax.conv_general_dilated`.
"""

import functools
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


def convolve(
  lhs: Images,
  rhs: Kernel,
  window_strides: Sequence[int],
  padding: str | Sequence[Pair],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Outputs:
  """A drop-in for `lax.conv_general_dilated`; give it to `linen.Conv(conv_general_dilated=...)`.

  Dilated, grouped, one- and three-dimensional convolutions are always lax's. On the CPU the others
  know reverse-mode differentiation only, of any order (pass lax's own function for `jax.jvp`).
  """
  plain = (
    lhs.ndim == 4
    and feature_group_count == 1
    and all(step == 1 for step in (*(lhs_dilation or ()), *(rhs_dilation or ())))
  )
  if plain and jax.default_backend() == "cpu":
    strides = (window_strides[0], window_strides[1])
    if isinstance(padding, str):
      padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    rows, columns = ((int(low), int(high)) for low, high in padding)
    return convolve_on_cpu(lhs, rhs, strides, (rows, columns))
  return lax.conv_general_dilated(
    lhs,
    rhs,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    precision=precision,
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_on_cpu(x: Images, kernel: Kernel, strides: Pair, padding: Padding) -> Outputs:
  """Convolution in the form that the CPU backend does best: banded or canonical."""
  if banded_is_faster(x.shape, kernel.shape):
    return convolve_banded(x, kernel, strides, padding)
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _forward(
  x: Images, kernel: Kernel, strides: Pair, padding: Padding
) -> tuple[Outputs, tuple[Images, Kernel]]:
  return convolve_on_cpu(x, kernel, strides, padding), (x, kernel)


def _backward(
  strides: Pair, padding: Padding, residuals: tuple[Images, Kernel], cotangent: Outputs
) -> tuple[Images, Kernel]:
  x, kernel = residuals
  banded = functools.partial(convolve_banded, strides=strides, padding=padding)
  if banded_is_faster(x.shape, kernel.shape):
    return jax.vjp(banded, x, kernel)[1](cotangent)
  x_gradient = input_gradient(x.shape[1:3], kernel, cotangent, strides, padding)
  if banded_weight_gradient_is_faster(x.shape, kernel.shape):
    return x_gradient, jax.vjp(functools.partial(banded, x), kernel)[1](cotangent)[0]
  return x_gradient, weight_gradient(x, kernel.shape[:2], cotangent, strides, padding)


convolve_on_cpu.defvjp(_forward, _backward)


def input_gradient(
  size: Sequence[int], kernel: Kernel, cotangent: Outputs, strides: Pair, padding: Padding
) -> Images:
  """Gradient for the input of this `size`: the cotangent convolved with the turned kernel."""
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
  """Convolution as one product: whole image rows times a band of shifted kernels.

  It multiplies by `width / kernel_width` times more numbers, most of them zero, but nothing has to
  be gathered except whole rows, and neither side of the product is narrow.
  """
  batch, height, width, channels = x.shape
  kernel_height, kernel_width, _, features = kernel.shape
  (top, bottom), (left, right) = padding
  out_height = (height + top + bottom - kernel_height) // strides[0] + 1
  out_width = (width + left + right - kernel_width) // strides[1] + 1
  tap = left + jnp.arange(width)[:, None] - strides[1] * jnp.arange(out_width)[None]
  is_tap = jax.nn.one_hot(tap, kernel_width, dtype=kernel.dtype)
  band = jnp.einsum("wot,htcf->hwcof", is_tap, kernel)
  rows = jnp.pad(x, ((0, 0), (top, bottom), (0, 0), (0, 0))).reshape(batch, -1, width * channels)
  span = (out_height - 1) * strides[0] + 1
  windows = jnp.concatenate(
    [rows[:, row : row + span : strides[0]] for row in range(kernel_height)], axis=-1
  )
  products = windows.reshape(batch * out_height, -1) @ band.reshape(-1, out_width * features)
  return products.reshape(batch, out_height, out_width, features)


def banded_is_faster(x_shape: Sequence[int], kernel_shape: Sequence[int]) -> bool:
  """Whether to take the banded form: few channels, and not too much work for the zeros.

  Measured in ms for forward / input / weight gradient, banded against canonical: LeNet's first
  layer (256x28x28x1, 5x5, 6 features) 2.0 / - / 2.7 against 9.8 / - / 3.2, its second
  (256x14x14x6, 5x5, 16) 1.8 / 2.1 / 2.2 against 3.7 / 6.2 / 5.9. But SimpleConvNet's
  (100x28x28x1, 5x5, 30) 2.7 against 0.7 forward, ResNet-20's (128x32x32x3, 3x3, 16) 6.0 against
  4.3.
  """
  _, kernel_width, channels, features = kernel_shape
  return channels < 8 and features * x_shape[2] / kernel_width <= 100


def banded_weight_gradient_is_faster(x_shape: Sequence[int], kernel_shape: Sequence[int]) -> bool:
  """Whether the weight gradient alone is better banded: SimpleConvNet's 3.2 against 4.4 ms."""
  _, kernel_width, channels, _ = kernel_shape
  return channels < 8 and x_shape[2] / kernel_width <= 6


Conv = functools.partial(linen.Conv, conv_general_dilated=convolve)
