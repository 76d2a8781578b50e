"""A small convnet on 24x24 pixels whose stages are read: R-CNN's features of a warped region."""

import flax.linen as nn
from jaxtyping import Array, Float

from research.layers.convolution import Conv
from research.layers.pooling import max_pool


class RegionNet(nn.Module):
  """Two convolutions with pooling, a hidden layer, logits.

  Attributes:
    classes: logits; those of other classes are the only other shapes.
  """

  classes: int

  @nn.compact
  def stages(
    self, x: Float[Array, "batch height width channel"]
  ) -> tuple[Float[Array, "batch maps"], Float[Array, "batch hidden"], Float[Array, "batch class"]]:
    """The pooled maps, flat; the hidden layer; the logits."""
    for filters in (16, 32):
      x = max_pool(nn.relu(Conv(filters, (3, 3))(x)))
    maps = x.reshape(x.shape[0], -1)
    hidden = nn.relu(nn.Dense(128)(maps))
    return maps, hidden, nn.Dense(self.classes, name="logits")(hidden)

  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """Logits."""
    return self.stages(x)[-1]
