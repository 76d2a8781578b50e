"""DenseNet, Huang, Liu, van der Maaten and Weinberger 2017, table 1 (inventory A07)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import avg_pool, max_pool

Images = Float[Array, "batch height width channel"]


class DenseLayer(linen.Module):
  """A layer that adds channels to those it is given (equation 2).

  Attributes:
    growth: k, the channels that it adds.
    bottleneck: the 1x1 convolution before has so many times k channels; 0 leaves it out.
    use_bias: whether convolutions have biases.
    kernel_init: initialiser of the weights.
  """

  growth: int
  bottleneck: int
  use_bias: bool
  kernel_init: Initializer

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch height width concatenated"]:
    """x and k new channels."""
    conv = lambda features, size: Conv(
      features,
      (size, size),
      padding=size // 2,
      use_bias=self.use_bias,
      kernel_init=self.kernel_init,
    )
    y = linen.relu(BatchNorm()(x, train))
    if self.bottleneck:
      y = conv(self.bottleneck * self.growth, 1)(y)
      y = linen.relu(BatchNorm()(y, train))
    return jnp.concatenate([x, conv(self.growth, 3)(y)], axis=-1)


class Transition(linen.Module):
  """Halves the channels and the size.

  Attributes:
    use_bias: whether the convolution has biases.
    kernel_init: initialiser of the weights.
  """

  use_bias: bool
  kernel_init: Initializer

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch half_height half_width half_channels"]:
    """Normalisation, ReLU, 1x1 convolution, 2x2 means (of what there is, if less)."""
    x = linen.relu(BatchNorm()(x, train))
    x = Conv(x.shape[-1] // 2, (1, 1), use_bias=self.use_bias, kernel_init=self.kernel_init)(x)
    return avg_pool(x, (min(2, x.shape[1]), min(2, x.shape[2])))


class DenseNet(linen.Module):
  """Blocks of layers that see all layers before them; `DenseNet(**FORMS[121])` and so on.

  On 224x224x3 with a thousand classes: 7,978,856 (121), 14,149,480 (169), 20,013,928 (201),
  28,681,000 (161) parameters. Without bottlenecks, with biases and four layers a block it is Dive
  into Deep Learning's, with 758,226 on grey images of ten classes.

  Attributes:
    layers: of each block.
    growth: k, channels that a layer adds.
    stem_features: channels before the first block.
    bottleneck: as in `DenseLayer`.
    use_bias: whether convolutions have biases.
    classes: number of logits.
    small_stem: stride of a 3x3 stem without pooling, for images of 28 or 32 pixels; 0 for the
      paper's stem.
    kernel_init: initialiser of all weights.
  """

  layers: Sequence[int] = (6, 12, 24, 16)
  growth: int = 32
  stem_features: int = 64
  bottleneck: int = 4
  use_bias: bool = False
  classes: int = 1000
  small_stem: int = 0
  kernel_init: Initializer = initializer("he_normal")

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch class"]:
    """The logits."""
    size, stride = (3, self.small_stem) if self.small_stem else (7, 2)
    x = Conv(
      self.stem_features,
      (size, size),
      stride,
      padding=size // 2,
      use_bias=self.use_bias,
      kernel_init=self.kernel_init,
    )(x)
    if not self.small_stem:
      x = linen.relu(BatchNorm(name="stem_norm")(x, train))
      x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    for block, layers in enumerate(self.layers):
      if block:
        x = Transition(self.use_bias, self.kernel_init)(x, train)
      for _ in range(layers):
        x = DenseLayer(self.growth, self.bottleneck, self.use_bias, self.kernel_init)(x, train)
    x = linen.relu(BatchNorm(name="last_norm")(x, train))
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x.mean(axis=(1, 2)))


FORMS: Mapping[int, Mapping[str, Any]] = MappingProxyType(
  {
    121: {"layers": (6, 12, 24, 16)},
    169: {"layers": (6, 12, 32, 32)},
    201: {"layers": (6, 12, 48, 32)},
    161: {"layers": (6, 12, 36, 24), "growth": 48, "stem_features": 96},
  }
)
