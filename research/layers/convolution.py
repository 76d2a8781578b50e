"""Two-dimensional convolution, lowered as each backend does it best.

XLA's CPU backend runs a convolution inside `scan`, `map` or `while` 10 to 80 times slower than
outside (jax issue 12868), and outside it is slow for few input channels. There `convolve` builds
the matrix of patches and multiplies. Elsewhere it is `lax.conv_general_dilated`.
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


def convolve(  # noqa: PLR0917 - the signature is lax's
  lhs: Float[Array, "batch height width channel"],
  rhs: Float[Array, "kernel_height kernel_width channel feature"],
  window_strides: Sequence[int],
  padding: str | Sequence[Pair],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Float[Array, "batch out_height out_width feature"]:
  """A drop-in for `lax.conv_general_dilated`; give it to `linen.Conv(conv_general_dilated=...)`."""
  plain = (
    lhs.ndim == 4
    and feature_group_count == 1
    and all(step == 1 for step in (*(lhs_dilation or ()), *(rhs_dilation or ())))
  )
  if plain and jax.default_backend() == "cpu":
    strides = (window_strides[0], window_strides[1])
    if isinstance(padding, str):
      padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    return convolve_by_matrix_product(lhs, rhs, strides, (padding[0], padding[1]))
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


def convolve_by_matrix_product(
  x: Float[Array, "batch height width channel"],
  kernel: Float[Array, "kernel_height kernel_width channel feature"],
  strides: Pair,
  padding: tuple[Pair, Pair],
) -> Float[Array, "batch out_height out_width feature"]:
  """Convolution as the product of the matrix of patches and the matrix of kernels."""
  kernel_height, kernel_width, channels, features = kernel.shape
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  out_height = (x.shape[1] - kernel_height) // strides[0] + 1
  out_width = (x.shape[2] - kernel_width) // strides[1] + 1
  patches = jnp.concatenate(
    [
      x[
        :,
        row : row + (out_height - 1) * strides[0] + 1 : strides[0],
        column : column + (out_width - 1) * strides[1] + 1 : strides[1],
      ]
      for row in range(kernel_height)
      for column in range(kernel_width)
    ],
    axis=-1,
  )
  return patches @ kernel.reshape(kernel_height * kernel_width * channels, features)


Conv = functools.partial(linen.Conv, conv_general_dilated=convolve)
