"""Q-networks: a torso encodes the observation, dense layers give each action's outputs (Q02)."""

from collections.abc import Callable, Sequence

from flax import linen
from jaxtyping import Array, Float

from research.layers.convolution import Conv
from research.layers.noisy import NoisyDense


class QNetwork(linen.Module):
  """A torso, one hidden dense layer, and `outputs` numbers for each action.

  Attributes:
    torso: encodes the inputs as features [batch, feature].
    hidden: units of the hidden layer.
    actions: number of actions.
    outputs: numbers for each action.
    dueling: whether separate streams give the state's value and the actions' advantages (Wang et
      al. 2016, equation 9).
    noisy: whether the dense layers after the torso have noisy weights (Fortunato et al. 2018).
  """

  torso: linen.Module
  hidden: int
  actions: int
  outputs: int = 1
  dueling: bool = False
  noisy: bool = False

  @linen.compact
  def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch action output"]:
    """The outputs of every action."""
    dense: Callable[..., linen.Module] = NoisyDense if self.noisy else linen.Dense

    def stream(features: Array, rows: int) -> Array:
      hidden = linen.relu(dense(self.hidden)(features))
      return dense(rows * self.outputs)(hidden).reshape(-1, rows, self.outputs)

    features = self.torso(x)
    advantage = stream(features, self.actions)
    if not self.dueling:
      return advantage
    return stream(features, 1) + advantage - advantage.mean(axis=1, keepdims=True)


class DenseTorso(linen.Module):
  """Dense layers with ReLU, for observations that are vectors."""

  features: Sequence[int]

  @linen.compact
  def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch feature"]:
    """The last layer's activations."""
    x = x.reshape(x.shape[0], -1)
    for width in self.features:
      x = linen.relu(linen.Dense(width)(x))
    return x


class ConvTorso(linen.Module):
  """Convolutions with ReLU and without padding, flattened.

  Attributes:
    layers: (features, size, stride) of each.
  """

  layers: Sequence[tuple[int, int, int]]

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"]
  ) -> Float[Array, "batch feature"]:
    """The last layer's activations."""
    for features, size, stride in self.layers:
      x = linen.relu(Conv(features, (size, size), (stride, stride), padding="VALID")(x))
    return x.reshape(x.shape[0], -1)


# Mnih et al. 2015, Methods, "Model architecture"; then a hidden layer of 512.
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
# van Hasselt, Hessel and Aslanides 2019, appendix E ("data-efficient"); then one of 256.
DATA_EFFICIENT = ((32, 5, 5), (64, 5, 5))
# Young and Tian 2019, section 3: a quarter of Nature's last layer; then a hidden layer of 128.
MINATAR = ((16, 3, 1),)
