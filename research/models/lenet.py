"""LeNet as Dive into Deep Learning has it, section 7.6 (after LeCun et al. 1998; inventory A01)."""

from collections.abc import Callable

from flax import linen
from jaxtyping import Array, Float

from research.initializers import initializer
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import Pool, avg_pool


class LeNet(linen.Module):
  """Two convolutions with pooling, three dense layers; 61,706 parameters on 28x28x1.

  Attributes:
    classes: number of logits.
    activation: after every layer but the last.
    pool: after every convolution's activation.
    kernel_init: initialiser of all weights.
    batch_norm: whether every layer but the last is normalised before its activation, as in the
      book's section 8.5 (inventory I06).
  """

  classes: int = 10
  activation: Callable[[Array], Array] = linen.sigmoid
  pool: Pool = avg_pool
  kernel_init: linen.initializers.Initializer = initializer("xavier_uniform")
  batch_norm: bool = False

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits; `train` matters to batch normalisation only."""

    def normalised(x: Array) -> Array:
      return BatchNorm()(x, train) if self.batch_norm else x

    for features, padding in ((6, 2), (16, 0)):
      x = Conv(features, (5, 5), padding=padding, kernel_init=self.kernel_init)(x)
      x = self.pool(self.activation(normalised(x)))
    x = x.reshape(x.shape[0], -1)
    for width in (120, 84):
      x = self.activation(normalised(linen.Dense(width, kernel_init=self.kernel_init)(x)))
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
