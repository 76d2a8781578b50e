"""SimpleConvNet of Saito 2016, Deep Learning from Scratch, section 7.5 (inventory C06)."""

from flax import linen
from jaxtyping import Array, Float

from research.initializers import initializer
from research.layers.convolution import Conv
from research.layers.pooling import max_pool


class SimpleConvNet(linen.Module):
  """Convolution, ReLU, max pooling, dense, ReLU, dense; 433,890 parameters on 28x28x1.

  Attributes:
    filters: number of filters.
    filter_size: their height and width.
    hidden: width of the hidden dense layer.
    classes: number of logits.
    kernel_init: initialiser of all weights; the book's default is a normal one of deviation 0.01.
  """

  filters: int = 30
  filter_size: int = 5
  hidden: int = 100
  classes: int = 10
  kernel_init: linen.initializers.Initializer = initializer("normal", 0.01)

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits; `train` changes nothing here."""
    del train
    window = (self.filter_size, self.filter_size)
    x = Conv(self.filters, window, padding="VALID", kernel_init=self.kernel_init)(x)
    x = linen.relu(max_pool(x))  # equal to pooling after the ReLU, at a quarter of its work
    x = x.reshape(x.shape[0], -1)
    x = linen.relu(linen.Dense(self.hidden, kernel_init=self.kernel_init)(x))
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
