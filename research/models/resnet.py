"""Residual networks, He et al. 2016, Deep Residual Learning (inventory A06)."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import max_pool

Images = Float[Array, "batch height width channel"]
# Section 3.3: option A pads with zeros, option B projects where the shape changes; plain nets have
# no shortcut at all.
Shortcut = Literal["padded", "projection", "none"]

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


@jax.custom_vjp
def relu_of_sum(y: Images, x: Images) -> Images:
  """relu(y + x), exactly, but ending in a sum of arrays.

  XLA's CPU backend repeats a maximum in every loop that reads it, and with it all blocks before
  (29 % of a ResNet-20 step). The gradient is stated by the output's sign. That of `jnp.maximum`
  asks which argument the maximum equals, and where XLA computes an argument anew for the question,
  with another rounding, it equals neither: half the gradient of a ResNet-8 was lost that way.
  """
  return jnp.maximum(y, -x) + x


def _relu_of_sum_forward(y: Images, x: Images) -> tuple[Images, Images]:
  output = relu_of_sum(y, x)
  return output, output


def _relu_of_sum_backward(output: Images, cotangent: Images) -> tuple[Images, Images]:
  gradient = jnp.where(output > 0, cotangent, 0.0)
  return gradient, gradient


relu_of_sum.defvjp(_relu_of_sum_forward, _relu_of_sum_backward)


class Projection(linen.Module):
  """Shortcut of option B: a 1x1 convolution, normalised.

  Attributes:
    features: number of output channels.
    stride: of the convolution.
    use_bias: whether it has biases in place of the normalisation, as in Dive into Deep Learning.
    kernel_init: initialiser of the weights.
  """

  features: int
  stride: int
  use_bias: bool
  kernel_init: linen.initializers.Initializer

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {self.features}"]:
    """The input in the output's shape."""
    x = Conv(
      self.features, (1, 1), self.stride, use_bias=self.use_bias, kernel_init=self.kernel_init
    )(x)
    return x if self.use_bias else BatchNorm()(x, train)


class BasicBlock(linen.Module):
  """Two 3x3 convolutions and a shortcut (figure 2).

  Attributes:
    features: number of output channels.
    stride: of the first convolution and of the shortcut.
    kernel_init: initialiser of the weights.
    shortcut: what stands for the identity where the shape changes; "none" makes a plain net.
    use_bias: whether convolutions have biases.
  """

  features: int
  stride: int = 1
  kernel_init: linen.initializers.Initializer = _HE
  shortcut: Shortcut = "padded"
  use_bias: bool = False

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {self.features}"]:
    """relu(F(x) + shortcut(x))."""
    conv = functools.partial(_Conv3x3, use_bias=self.use_bias, kernel_init=self.kernel_init)
    y = conv(self.features, strides=self.stride)(x)
    y = linen.relu(BatchNorm()(y, train))
    y = conv(self.features)(y)
    y = BatchNorm()(y, train)
    if self.shortcut == "none":
      return linen.relu(y)
    if self.stride != 1 or x.shape[-1] != self.features:
      if self.shortcut == "padded":
        x = padded_identity(x, self.features, self.stride)
      else:
        x = Projection(self.features, self.stride, self.use_bias, self.kernel_init)(x, train)
    return relu_of_sum(y, x)


class Bottleneck(linen.Module):
  """1x1 down to a quarter of the channels, 3x3, 1x1 up again, and a shortcut (figure 5).

  The stride is the 3x3 convolution's, as in torchvision; the paper gives it to the first 1x1.

  Attributes:
    features: channels of the 3x3 convolution; the output has four times as many.
    stride: of the 3x3 convolution and of the shortcut.
    kernel_init: initialiser of the weights.
    shortcut: "projection", or "none" for a plain net.
  """

  features: int
  stride: int = 1
  kernel_init: linen.initializers.Initializer = _HE
  shortcut: Shortcut = "projection"

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {4*self.features}"]:
    """relu(F(x) + shortcut(x))."""
    conv1x1 = functools.partial(
      Conv, kernel_size=(1, 1), use_bias=False, kernel_init=self.kernel_init
    )
    y = linen.relu(BatchNorm()(conv1x1(self.features)(x), train))
    y = _Conv3x3(self.features, strides=self.stride, kernel_init=self.kernel_init)(y)
    y = linen.relu(BatchNorm()(y, train))
    y = BatchNorm()(conv1x1(4 * self.features)(y), train)
    if self.shortcut == "none":
      return linen.relu(y)
    if self.stride != 1 or x.shape[-1] != 4 * self.features:
      x = Projection(4 * self.features, self.stride, False, self.kernel_init)(x, train)
    return relu_of_sum(y, x)


CIFAR_DEPTHS = range(8, 2000, 6)  # section 4.2: 6n + 2


class CifarResNet(linen.Module):
  """The networks of section 4.2: 6n + 2 layers in three stages of n blocks on 32x32 images.

  Depth 20 has 269,722 parameters with three input channels and ten classes.

  Attributes:
    depth: 20, 32, 44, 56, 110 in the paper.
    width: channels of the first stage; each stage doubles them.
    classes: number of logits.
    kernel_init: initialiser of all weights.
    residual: whether there are shortcuts; without them it is the plain twin, with the same weights.
    stem_stride: of the first convolution; 1 in the paper.
  """

  depth: int = 20
  width: int = 16
  classes: int = 10
  kernel_init: linen.initializers.Initializer = _HE
  residual: bool = True
  stem_stride: int = 1

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch class"]:
    """The logits."""
    if self.depth not in CIFAR_DEPTHS:
      raise ValueError(f"depth {self.depth} is not 6n + 2")
    x = _Conv3x3(self.width, strides=self.stem_stride, kernel_init=self.kernel_init)(x)
    x = linen.relu(BatchNorm()(x, train))
    shortcut: Shortcut = "padded" if self.residual else "none"
    for stage in range(3):
      for block in range((self.depth - 2) // 6):
        stride = 2 if stage > 0 and block == 0 else 1
        x = BasicBlock(self.width * 2**stage, stride, self.kernel_init, shortcut)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x.mean(axis=(1, 2)))


# Table 1: blocks of each of the four stages.
STAGES: Mapping[int, tuple[int, ...]] = MappingProxyType(
  {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
)


class ResNet(linen.Module):
  """The networks of table 1: basic blocks up to depth 34, bottlenecks from 50 on, projections.

  On 224x224x3 with a thousand classes: 11,689,512 (18), 21,797,672 (34), 25,557,032 (50),
  44,549,160 (101), 60,192,808 (152) parameters.

  Attributes:
    depth: 18, 34, 50, 101 or 152 layers with weights.
    width: channels of the first stage's 3x3 convolutions; each stage doubles them.
    classes: number of logits.
    residual: whether there are shortcuts; without them it is the plain twin.
    use_bias: whether convolutions have biases, and projections no normalisation, as in Dive into
      Deep Learning; for depths 18 and 34.
    kernel_init: initialiser of all weights.
  """

  depth: int = 18
  width: int = 64
  classes: int = 1000
  residual: bool = True
  use_bias: bool = False
  kernel_init: linen.initializers.Initializer = _HE

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch class"]:
    """The logits."""
    if self.depth not in STAGES:
      known = ", ".join(map(str, STAGES))
      raise ValueError(f"depth {self.depth} is not a ResNet's of table 1; there are {known}")
    x = Conv(
      self.width, (7, 7), 2, padding=3, use_bias=self.use_bias, kernel_init=self.kernel_init
    )(x)
    x = linen.relu(BatchNorm()(x, train))
    x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    shortcut: Shortcut = "projection" if self.residual else "none"
    basic = functools.partial(BasicBlock, use_bias=self.use_bias)
    block = basic if self.depth < 50 else Bottleneck
    for stage, blocks in enumerate(STAGES[self.depth]):
      for number in range(blocks):
        stride = 2 if stage > 0 and number == 0 else 1
        x = block(self.width * 2**stage, stride, self.kernel_init, shortcut)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x.mean(axis=(1, 2)))
