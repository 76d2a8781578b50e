"""Network in Network, Lin, Chen and Yan 2014, as Dive into Deep Learning has it (inventory A04)."""

from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.pooling import max_pool


class MlpConv(linen.Module):
  """A convolution and two 1x1 convolutions: a small MLP slid over the image (section 3.1).

  Attributes:
    features: channels of all three.
    size: height and width of the first one's kernel.
    stride: of the first one.
    padding: of the first one.
    kernel_init: initialiser of all weights.
  """

  features: int
  size: int
  stride: int
  padding: int
  kernel_init: Initializer

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"]
  ) -> Float[Array, "batch out_height out_width {self.features}"]:
    """ReLU after each of the three."""
    window = (self.size, self.size)
    x = Conv(
      self.features, window, self.stride, padding=self.padding, kernel_init=self.kernel_init
    )(x)
    for _ in range(2):
      x = Conv(self.features, (1, 1), kernel_init=self.kernel_init)(linen.relu(x))
    return linen.relu(x)


class NiN(linen.Module):
  """Four MLP convolutions, then a mean over all positions: no dense layer (section 3.2).

  With d2l's settings 1,992,166 parameters for ten classes of grey images, 7,439,608 for a thousand
  of coloured ones.

  Attributes:
    width: channels of the first block; 8/3 and 4 times as many follow.
    classes: number of logits, one a channel of the last block.
    dropout_rate: before the last block.
    stem: height and stride of the first convolution; (5, 1) suits images of 28 pixels.
    stem_padding: of the first convolution.
    kernel_init: initialiser of all weights.
  """

  width: int = 96
  classes: int = 1000
  dropout_rate: float | Float[Array, ""] = 0.5
  stem: tuple[int, int] = (11, 4)
  stem_padding: int = 0
  kernel_init: Initializer = initializer("he_normal")

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    block = lambda *shape: MlpConv(*shape, self.kernel_init)
    x = block(self.width, *self.stem, self.stem_padding)(x)
    x = block(self.width * 8 // 3, 5, 1, 2)(max_pool(x, (3, 3), (2, 2)))
    x = block(self.width * 4, 3, 1, 1)(max_pool(x, (3, 3), (2, 2)))
    x = Dropout(self.dropout_rate)(max_pool(x, (3, 3), (2, 2)), train)
    return block(self.classes, 3, 1, 1)(x).mean(axis=(1, 2))
