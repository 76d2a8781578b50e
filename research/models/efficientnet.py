"""EfficientNet-Lite0: Tan and Le 2019, EfficientNet, made for small devices.

The Lite networks are those of the paper with ReLU6 in place of Swish and without squeeze and
excitation, whose first and last layers keep their widths. Images are [batch, height, width, 3],
normalised as (pixel - 127) / 128; 224 pixels on a side for the published weights.
"""

import functools
import operator
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv

Images = Float[Array, "batch height width channel"]

# PyTorch's He initialisation by the outputs, as the authors' for convolutions.
_FAN_OUT = linen.initializers.variance_scaling(2.0, "fan_out", "normal")


class Stage(NamedTuple):
  """Blocks of one width, a row of the paper's table 1."""

  blocks: int
  kernel: int  # of the depthwise convolutions
  stride: int  # of the first block
  expansion: int  # channels within a block, in terms of those that enter it
  features: int


STAGES = (
  Stage(1, 3, 1, 1, 16),
  Stage(2, 3, 2, 6, 24),
  Stage(2, 5, 2, 6, 40),
  Stage(3, 3, 2, 6, 80),
  Stage(3, 5, 1, 6, 112),
  Stage(4, 5, 2, 6, 192),
  Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # channels of the first and of the last convolution
EPSILON = 1e-3  # of batch normalisation


class Depthwise(linen.Module):
  """Convolution of each channel with a kernel of its own, padded like TensorFlow's SAME.

  A sum of shifted products: XLA's CPU backend has no fast kernel for so many groups in a loop.

  Attributes:
    kernel: taps on a side.
    stride: of the output's places.
  """

  kernel: int
  stride: int

  @linen.compact
  def __call__(self, x: Images) -> Float[Array, "batch out_height out_width channel"]:
    """The convolved channels, without a bias."""
    size, step = self.kernel, self.stride
    weights = self.param("kernel", _FAN_OUT, (size, size, 1, x.shape[-1]))
    outputs = [-(-length // step) for length in x.shape[1:3]]
    missing = [
      max((count - 1) * step + size - length, 0)
      for count, length in zip(outputs, x.shape[1:3], strict=True)
    ]
    padded = jnp.pad(x, ((0, 0), *((each // 2, each - each // 2) for each in missing), (0, 0)))
    last = [(count - 1) * step + 1 for count in outputs]
    return functools.reduce(
      operator.add,
      (
        padded[:, row : row + last[0] : step, column : column + last[1] : step]
        * weights[row, column][None, None]
        for row in range(size)
        for column in range(size)
      ),
    )


class InvertedResidual(linen.Module):
  """Wider by a convolution of one tap, depthwise, narrower by one tap; then the shortcut.

  Attributes:
    stage: whose block it is.
    stride: of the depthwise convolution.
  """

  stage: Stage
  stride: int

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {self.stage.features}"]:
    """The block's outputs; the input is added where it has their shape."""
    y = x
    if self.stage.expansion > 1:
      wide = x.shape[-1] * self.stage.expansion
      y = Conv(wide, (1, 1), use_bias=False, kernel_init=_FAN_OUT, name="expand")(y)
      y = linen.relu6(BatchNorm(epsilon=EPSILON, name="expand_norm")(y, train))
    y = Depthwise(self.stage.kernel, self.stride, name="depthwise")(y)
    y = linen.relu6(BatchNorm(epsilon=EPSILON, name="depthwise_norm")(y, train))
    y = Conv(self.stage.features, (1, 1), use_bias=False, kernel_init=_FAN_OUT, name="project")(y)
    y = BatchNorm(epsilon=EPSILON, name="project_norm")(y, train)
    return x + y if x.shape == y.shape else y


class EfficientNetLite0(linen.Module):
  """EfficientNet-Lite0.

  Attributes:
    classes: number of outputs.
  """

  classes: int = 1000

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch {self.classes}"]:
    """Logits."""
    x = Conv(STEM, (3, 3), 2, padding="SAME", use_bias=False, kernel_init=_FAN_OUT, name="stem")(x)
    x = linen.relu6(BatchNorm(epsilon=EPSILON, name="stem_norm")(x, train))
    number = 0
    for stage in STAGES:
      for block in range(stage.blocks):
        stride = 1 if block else stage.stride
        x = InvertedResidual(stage, stride, name=f"block_{number}")(x, train)
        number += 1
    x = Conv(HEAD, (1, 1), use_bias=False, kernel_init=_FAN_OUT, name="last")(x)
    x = linen.relu6(BatchNorm(epsilon=EPSILON, name="last_norm")(x, train))
    x = x.mean(axis=(1, 2))
    return linen.Dense(self.classes, name="head")(x)
