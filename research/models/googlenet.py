"""GoogLeNet, Szegedy et al. 2015, Going Deeper with Convolutions, table 1 (inventory A05)."""

import functools
from typing import Literal, NamedTuple

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.batch import Batch
from research.initializers import Initializer, initializer
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.local_response_norm import local_response_norm
from research.layers.pooling import Pool, adaptive_avg_pool, avg_pool, max_pool
from research.losses import softmax_cross_entropy
from research.metrics import accuracy

Images = Float[Array, "batch height width channel"]
Logits = Float[Array, "batch class"]
Norm = Literal["local", "batch", "none"]

# 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 after pooling.
INCEPTIONS = {
  "3a": (64, 96, 128, 16, 32, 32),
  "3b": (128, 128, 192, 32, 96, 64),
  "4a": (192, 96, 208, 16, 48, 64),
  "4b": (160, 112, 224, 24, 64, 64),
  "4c": (128, 128, 256, 24, 64, 64),
  "4d": (112, 144, 288, 32, 64, 64),
  "4e": (256, 160, 320, 32, 128, 128),
  "5a": (256, 160, 320, 32, 128, 128),
  "5b": (384, 192, 384, 48, 128, 128),
}


class Heads(NamedTuple):
  """The outputs in training of a network with auxiliary classifiers."""

  logits: Logits
  auxiliary: tuple[Logits, Logits]


def heads_loss(outputs: Logits | Heads, batch: Batch) -> Float[Array, " batch"]:
  """Cross-entropy; auxiliary heads count 0.3 each (section 5)."""
  if not isinstance(outputs, Heads):
    return softmax_cross_entropy(outputs, batch)
  auxiliary = sum(softmax_cross_entropy(logits, batch) for logits in outputs.auxiliary)
  return softmax_cross_entropy(outputs.logits, batch) + 0.3 * auxiliary


def heads_accuracy(outputs: Logits | Heads, batch: Batch) -> Float[Array, " batch"]:
  """The main head's."""
  return accuracy(outputs.logits if isinstance(outputs, Heads) else outputs, batch)


class ConvRelu(linen.Module):
  """A convolution that keeps the size (at stride 1), batch normalisation if asked for, ReLU.

  Attributes:
    features: output channels.
    size: height and width of the kernel, odd.
    stride: of the convolution.
    batch_norm: whether to normalise instead of adding a bias.
    kernel_init: initialiser of the weights.
  """

  features: int
  size: int
  stride: int
  batch_norm: bool
  kernel_init: Initializer

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch out_height out_width {self.features}"]:
    """relu(norm(convolution(x)))."""
    x = Conv(
      self.features,
      (self.size, self.size),
      self.stride,
      padding=self.size // 2,
      use_bias=not self.batch_norm,
      kernel_init=self.kernel_init,
    )(x)
    if self.batch_norm:
      x = BatchNorm(epsilon=1e-3)(x, train)
    return linen.relu(x)


class Inception(linen.Module):
  """Four views of the same maps, concatenated (figure 2b).

  Attributes:
    widths: a row of `INCEPTIONS`, perhaps divided.
    largest: height and width of the largest kernel.
    batch_norm: as in `ConvRelu`.
    kernel_init: initialiser of all weights.
  """

  widths: tuple[int, ...]
  largest: int
  batch_norm: bool
  kernel_init: Initializer

  @linen.compact
  def __call__(
    self, x: Images, train: bool = False
  ) -> Float[Array, "batch height width concatenated"]:
    """The branches' channels, in the order of the table's columns."""
    conv = lambda name, features, size: ConvRelu(
      features, size, 1, self.batch_norm, self.kernel_init, name=name
    )
    one, reduce_three, three, reduce_five, five, pooled = self.widths
    branches = [
      conv("one", one, 1)(x, train),
      conv("three", three, 3)(conv("reduce_three", reduce_three, 1)(x, train), train),
      conv("five", five, self.largest)(conv("reduce_five", reduce_five, 1)(x, train), train),
      conv("pooled", pooled, 1)(max_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1))), train),
    ]
    return jnp.concatenate(branches, axis=-1)


class AuxiliaryHead(linen.Module):
  """A classifier half-way: means over 4x4 places, 1x1 convolution, two dense layers.

  Attributes:
    width: channels of the convolution.
    hidden: width of the hidden dense layer.
    classes: number of logits.
    pool: makes 4x4 maps.
    batch_norm: as in `ConvRelu`.
    dropout_rate: before the last layer.
    kernel_init: initialiser of all weights.
  """

  width: int
  hidden: int
  classes: int
  pool: Pool
  batch_norm: bool
  dropout_rate: float | Float[Array, ""]
  kernel_init: Initializer

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Logits:
    """The logits."""
    x = ConvRelu(self.width, 1, 1, self.batch_norm, self.kernel_init)(self.pool(x), train)
    x = linen.Dense(self.hidden, kernel_init=self.kernel_init)(x.reshape(x.shape[0], -1))
    x = Dropout(self.dropout_rate)(linen.relu(x), train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)


class GoogLeNet(linen.Module):
  """Nine inceptions, and two auxiliary classifiers while training (section 5).

  On 224x224x3 with a thousand classes, without and with the auxiliary heads: as published
  6,998,552 and 13,378,280 parameters; with `norm="batch"` 7,005,832 and 13,385,816; as torchvision
  has it (`norm="batch", torchvision=True`) 6,624,904 and 13,004,888, for it has 3x3 kernels where
  the paper has 5x5. Besides, torchvision pools 2x2 before 5a and adaptively in the heads.

  Attributes:
    divisor: of all widths.
    classes: number of logits.
    norm: local response normalisation in the stem, as published; batch normalisation after every
      convolution, as in Ioffe and Szegedy 2015; or none, as in Dive into Deep Learning.
    torchvision: whether to follow torchvision where it departs from the paper.
    auxiliary: whether there are auxiliary heads; then the output while training is `Heads`.
    dropout_rate: before the last layer.
    auxiliary_dropout_rate: before the last layer of each auxiliary head.
    small_images: a 3x3 stem of stride 1 without pooling, for images of 28 or 32 pixels.
    kernel_init: initialiser of all weights.
  """

  divisor: int = 1
  classes: int = 1000
  norm: Norm = "local"
  torchvision: bool = False
  auxiliary: bool = True
  dropout_rate: float | Float[Array, ""] = 0.4
  auxiliary_dropout_rate: float | Float[Array, ""] = 0.7
  small_images: bool = False
  kernel_init: Initializer = initializer("he_normal")

  @linen.compact
  def __call__(self, x: Images, train: bool = False) -> Logits | Heads:
    """The logits; with auxiliary heads and while training, `Heads`."""
    batch_norm = self.norm == "batch"
    divided = lambda width: max(1, width // self.divisor)
    conv = lambda width, size, stride=1: ConvRelu(
      divided(width), size, stride, batch_norm, self.kernel_init
    )
    local_norm = local_response_norm if self.norm == "local" else lambda x: x
    pool = functools.partial(max_pool, window=(3, 3), strides=(2, 2), padding="CEIL")
    if self.small_images:
      x = local_norm(conv(64, 3)(x, train))
    else:
      x = local_norm(pool(conv(64, 7, 2)(x, train)))
    x = conv(64, 1)(x, train)
    x = local_norm(conv(192, 3)(x, train))
    to_4x4 = functools.partial(avg_pool, window=(5, 5), strides=(3, 3))
    if self.torchvision or self.small_images:
      to_4x4 = functools.partial(adaptive_avg_pool, size=(4, 4))
    largest = 3 if self.torchvision else 5
    wants_heads = self.auxiliary and (train or self.is_initializing())
    heads = []
    for name, widths in INCEPTIONS.items():
      if name == "5a" and self.torchvision:
        x = max_pool(x, padding="CEIL")
      elif name.endswith("a"):
        x = pool(x)
      x = Inception(
        tuple(map(divided, widths)), largest, batch_norm, self.kernel_init, name=f"inception_{name}"
      )(x, train)
      if wants_heads and name in ("4a", "4d"):
        head = AuxiliaryHead(
          divided(128),
          divided(1024),
          self.classes,
          to_4x4,
          batch_norm,
          self.auxiliary_dropout_rate,
          self.kernel_init,
          name=f"auxiliary_{name}",
        )
        heads.append(head(x, train))
    x = Dropout(self.dropout_rate)(x.mean(axis=(1, 2)), train)
    logits = linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
    return Heads(logits, (heads[0], heads[1])) if wants_heads and train else logits
