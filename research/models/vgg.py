"""VGG, Simonyan and Zisserman 2015, Very Deep Convolutional Networks, table 1 (inventory A03)."""

from collections.abc import Mapping
from types import MappingProxyType

from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.pooling import max_pool

# Columns A, B, D and E: convolutions of each of the five stages, by the number of weight layers.
STAGES: Mapping[int, tuple[int, ...]] = MappingProxyType(
  {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
)


class VGG(linen.Module):
  """3x3 convolutions only, pooling between stages, three dense layers.

  On 224x224x3: 132,863,336 (11), 133,047,848 (13), 138,357,544 (16), 143,667,240 (19) parameters.
  Pooling rounds sizes up, which changes nothing on multiples of 32 and lets smaller images through.

  Attributes:
    depth: 11, 13, 16 or 19 layers with weights.
    width: channels of the first stage; they double up to eight times as many.
    hidden: width of the two hidden dense layers.
    classes: number of logits.
    dropout_rate: after each hidden dense layer.
    kernel_init: initialiser of all weights.
  """

  depth: int = 16
  width: int = 64
  hidden: int = 4096
  classes: int = 1000
  dropout_rate: float | Float[Array, ""] = 0.5
  kernel_init: Initializer = initializer("he_normal")

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    if self.depth not in STAGES:
      raise ValueError(
        f"depth {self.depth} is not a VGG's; there are {', '.join(map(str, STAGES))}"
      )
    for stage, convolutions in enumerate(STAGES[self.depth]):
      features = self.width * min(2**stage, 8)
      for _ in range(convolutions):
        x = linen.relu(Conv(features, (3, 3), padding=1, kernel_init=self.kernel_init)(x))
      x = max_pool(x, padding="CEIL")
    x = x.reshape(x.shape[0], -1)
    for _ in range(2):
      x = linen.relu(linen.Dense(self.hidden, kernel_init=self.kernel_init)(x))
      x = Dropout(self.dropout_rate)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
