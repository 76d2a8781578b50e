"""The convolutional networks of Nielsen, Neural Networks and Deep Learning, chapter 6 (C12)."""

from collections.abc import Callable, Sequence

from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.pooling import max_pool


class NielsenNet(linen.Module):
  """5x5 convolutions with 2x2 max pooling, then dense layers; each may be missing.

  With 20 maps and 100 hidden units it has 289,630 parameters on 28x28x1.

  Attributes:
    maps: of each convolution.
    hidden: widths of the hidden dense layers.
    classes: number of logits.
    activation: after every layer but the last.
    dropout_rate: before every dense layer, as in the book; a number or a tracer.
    kernel_init: initialiser of all weights.
  """

  maps: Sequence[int] = (20,)
  hidden: Sequence[int] = (100,)
  classes: int = 10
  activation: Callable[[Array], Array] = linen.sigmoid
  dropout_rate: float | Float[Array, ""] = 0.0
  kernel_init: Initializer = initializer("lecun_normal")

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits; `train` matters to dropout only."""
    for maps in self.maps:
      x = Conv(maps, (5, 5), padding="VALID", kernel_init=self.kernel_init)(x)
      x = self.activation(max_pool(x))  # an activation that rises may follow the pooling
    x = x.reshape(x.shape[0], -1)
    for width in self.hidden:
      x = Dropout(self.dropout_rate)(x, train)
      x = self.activation(linen.Dense(width, kernel_init=self.kernel_init)(x))
    x = Dropout(self.dropout_rate)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
