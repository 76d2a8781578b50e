"""AlexNet, Krizhevsky, Sutskever and Hinton 2012, and its single-GPU successor (inventory A02)."""

import functools
from collections.abc import Sequence

from flax import linen
from jaxtyping import Array, Float

from research.initializers import Initializer, initializer
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.local_response_norm import local_response_norm
from research.layers.pooling import max_pool

ONE_GPU = (64, 192, 384, 256, 256)  # Krizhevsky 2014, One weird trick, as torchvision has it


class AlexNet(linen.Module):
  """Five convolutions and three dense layers (figure 2); 60,965,224 parameters on 224x224x3.

  As published: two groups that see each other only in the third convolution (one group a GPU),
  local response normalisation, overlapping pooling, dropout. `AlexNet(ONE_GPU, groups=1,
  local_norm=False)` is torchvision's, with 61,100,840 parameters; with `features` as published and
  one group it has 62,378,344, and d2l's has `stem_padding=1` besides. The paper draws weights of
  deviation 0.01 (`initializer("normal", 0.01)`), which needs its widths; He's rule serves all.

  Attributes:
    features: output channels of the convolutions.
    groups: of the second, fourth and fifth convolution.
    local_norm: whether the first two are followed by local response normalisation.
    hidden: width of the two hidden dense layers.
    classes: number of logits.
    dropout_rate: after each hidden dense layer; torchvision drops one layer earlier.
    stem: height and stride of the first convolution; (5, 1) suits images of 28 pixels.
    stem_padding: of the first convolution; 2 gives the paper's 55x55 maps.
    kernel_init: initialiser of all weights.
  """

  features: Sequence[int] = (96, 256, 384, 384, 256)
  groups: int = 2
  local_norm: bool = True
  hidden: int = 4096
  classes: int = 1000
  dropout_rate: float | Float[Array, ""] = 0.5
  stem: tuple[int, int] = (11, 4)
  stem_padding: int = 2
  kernel_init: Initializer = initializer("he_normal")

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    conv = functools.partial(Conv, kernel_init=self.kernel_init)
    pool = functools.partial(max_pool, window=(3, 3), strides=(2, 2))
    norm = local_response_norm if self.local_norm else lambda x: x
    first, second, third, fourth, fifth = self.features
    size, stride = self.stem
    x = conv(first, (size, size), strides=stride, padding=self.stem_padding)(x)
    x = pool(norm(linen.relu(x)))
    x = conv(second, (5, 5), padding=2, feature_group_count=self.groups)(x)
    x = pool(norm(linen.relu(x)))
    x = linen.relu(conv(third, (3, 3), padding=1)(x))
    x = linen.relu(conv(fourth, (3, 3), padding=1, feature_group_count=self.groups)(x))
    x = linen.relu(conv(fifth, (3, 3), padding=1, feature_group_count=self.groups)(x))
    x = pool(x).reshape(x.shape[0], -1)
    for _ in range(2):
      x = linen.relu(linen.Dense(self.hidden, kernel_init=self.kernel_init)(x))
      x = Dropout(self.dropout_rate)(x, train)
    return linen.Dense(self.classes, kernel_init=self.kernel_init)(x)
