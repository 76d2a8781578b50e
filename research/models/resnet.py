"""Residual networks, He et al. 2016, Deep Residual Learning for Image Recognition."""

import functools

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv

Images = Float[Array, "batch height width channel"]

# He et al. 2015, eq. 10, as section 3.4 of the paper asks.
_HE = linen.initializers.he_normal()
# No biases before batch normalisation.
_Conv3x3 = functools.partial(Conv, kernel_size=(3, 3), padding=1, use_bias=False)


def padded_identity(
  x: Images, features: int, stride: int
) -> Float[Array, "batch out_height out_width {features}"]:
  """Shortcut of option A (section 3.3): subsampled, with zeros for the new channels."""
  new_channels = features - x.shape[-1]
  return jnp.pad(
    x[:, ::stride, ::stride],
    ((0, 0), (0, 0), (0, 0), (new_channels // 2, new_channels - new_channels // 2)),
  )


class BasicBlock(linen.Module):
  """Two 3x3 convolutions and a shortcut (figure 2).

  Attributes:
    features: number of output channels.
    stride: of the first convolution and of the shortcut.
    kernel_init: initialiser of the weights.
  """

  features: int
  stride: int = 1
  kernel_init: linen.initializers.Initializer = _HE

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {self.features}"]:
    """relu(F(x) + shortcut(x))."""
    y = _Conv3x3(self.features, strides=self.stride, kernel_init=self.kernel_init)(x)
    y = linen.relu(BatchNorm()(y, train))
    y = _Conv3x3(self.features, kernel_init=self.kernel_init)(y)
    y = BatchNorm()(y, train)
    if self.stride != 1 or x.shape[-1] != self.features:
      x = padded_identity(x, self.features, self.stride)
    # relu(y + x), exactly, but ending in a sum of arrays: XLA's CPU backend repeats a maximum in
    # every loop that reads it, and with it all blocks before (29 % of a ResNet-20 step).
    return jnp.maximum(y, -x) + x


class CifarResNet(linen.Module):
  """The networks of section 4.2: 6n + 2 layers in three stages of n blocks on 32x32 images.

  Depth 20 has 269,722 parameters with three input channels and ten classes.

  Attributes:
    depth: 20, 32, 44, 56, 110 in the paper.
    width: channels of the first stage; each stage doubles them.
    classes: number of logits.
    kernel_init: initialiser of all weights.
  """

  depth: int = 20
  width: int = 16
  classes: int = 10
  kernel_init: linen.initializers.Initializer = _HE

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch class"]:
    """The logits."""
    blocks, remainder = divmod(self.depth - 2, 6)
    if remainder:
      raise ValueError(f"depth {self.depth} is not 6n + 2")
    x = linen.relu(BatchNorm()(_Conv3x3(self.width, kernel_init=self.kernel_init)(x), train))
    for stage in range(3):
      for block in range(blocks):
        stride = 2 if stage > 0 and block == 0 else 1
        x = BasicBlock(self.width * 2**stage, stride, self.kernel_init)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x.mean(axis=(1, 2)))
