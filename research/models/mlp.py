"""The multi-layer perceptron."""

from collections.abc import Callable, Sequence

from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.dropout import Dropout


class MLP(linen.Module):
  """Dense layers with an activation between them; the input is flattened.

  Attributes:
    features: sizes of the layers after the input, the last one the number of classes.
    activation: applied after every layer but the last.
    kernel_init: initialiser of the weights.
    bias_init: initialiser of the biases.
    batch_norm: whether each hidden layer is normalised before its activation.
    dropout_rate: rate of dropout after each hidden activation; a number or a tracer.
  """

  features: Sequence[int]
  activation: Callable[[Array], Array] = linen.relu
  kernel_init: linen.initializers.Initializer = linen.initializers.he_normal()
  bias_init: linen.initializers.Initializer = linen.initializers.zeros
  batch_norm: bool = False
  dropout_rate: float | Float[Array, ""] = 0.0

  @linen.compact
  def __call__(
    self, x: Float[Array, " batch *features"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    x = x.reshape(x.shape[0], -1)
    *hidden, classes = self.features
    for width in hidden:
      x = linen.Dense(width, kernel_init=self.kernel_init, bias_init=self.bias_init)(x)
      if self.batch_norm:
        x = BatchNorm()(x, train)
      x = Dropout(self.dropout_rate)(self.activation(x), train)
    return linen.Dense(classes, kernel_init=self.kernel_init, bias_init=self.bias_init)(x)
