"""DeepConvNet of Saito 2016, Deep Learning from Scratch, section 8.1 (inventory C09)."""

from collections.abc import Callable

from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.pooling import max_pool


class DeepConvNet(linen.Module):
  """Six 3x3 convolutions, two dense layers; 123,552 parameters on 28x28x1.

  The book puts a second dropout behind the last layer, onto the logits, where it tells half of the
  classes at random that they have logit zero. `logit_dropout=False` leaves it out.

  Attributes:
    width: channels of the first two convolutions; twice and four times as many follow.
    hidden: width of the hidden dense layer.
    classes: number of logits.
    dropout_rate: of both dropouts.
    logit_dropout: whether the logits are dropped too, as in the book.
    kernel_init: initialiser of all weights.
    activation: after every layer but the last.
  """

  width: int = 16
  hidden: int = 50
  classes: int = 10
  dropout_rate: float | Float[Array, ""] = 0.5
  logit_dropout: bool = True
  kernel_init: Initializer = initializer("he_normal")
  activation: Callable[[Array], Array] = linen.relu

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    for stage, second_padding in enumerate((1, 2, 1)):  # 28, then 14 made 16, then 8 pixels
      for padding in (1, second_padding):
        features = self.width * 2**stage
        x = self.activation(
          Conv(features, (3, 3), padding=padding, kernel_init=self.kernel_init)(x)
        )
      x = max_pool(x)
    x = x.reshape(x.shape[0], -1)
    x = self.activation(linen.Dense(self.hidden, kernel_init=self.kernel_init)(x))
    x = Dropout(self.dropout_rate)(x, train)
    x = linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
    return Dropout(self.dropout_rate)(x, train) if self.logit_dropout else x
