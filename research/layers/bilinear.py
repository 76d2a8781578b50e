"""Bilinear interpolation as a transposed convolution, to begin learnt upsampling with."""

import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

Images = Float[Array, "batch height width channel"]


def bilinear_kernel(
  key: Key[Array, ""] | None, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "kernel_height kernel_width channel feature"]:
  """An initializer of transposed convolutions (Long et al. 2015, section 3.3).

  With a kernel of twice the stride it interpolates every channel by itself, as `jax.image.resize`
  does but at the border, where it takes what lies outside for 0. Nothing in it is random.

  Args:
    key: not used.
    shape: [2 f, 2 g, channels, channels] for even strides f and g.
    dtype: of the kernel.
  """
  rows, columns = (_triangle(size) for size in shape[:2])
  kernel = np.einsum("h,w,cf->hwcf", rows, columns, np.eye(shape[2], shape[3]))
  return jnp.asarray(kernel, dtype)


def _triangle(size: int) -> Float[np.ndarray, " size"]:
  """Weights of the kernel's positions, by their distances from its centre."""
  return 1 - np.abs(np.arange(size) - (size - 1) / 2) / (size / 2)


class Upsample(linen.Module):
  """A transposed convolution to `factor` times the size, at first bilinear interpolation.

  Attributes:
    factor: of height and width, an even number.
  """

  factor: int

  @linen.compact
  def __call__(self, x: Images) -> Float[Array, "batch _ _ channel"]:
    """The enlarged images."""
    size, strides = (2 * self.factor,) * 2, (self.factor,) * 2
    return linen.ConvTranspose(
      x.shape[-1], size, strides, use_bias=False, kernel_init=bilinear_kernel
    )(x)
