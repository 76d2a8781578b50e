"""Forward signals and backward gradients in layers of random weights."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research.initializers import Initializer

Activation = Callable[[Array], Array]

ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
  {
    "step": lambda z: (z > 0).astype(z.dtype),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "ReLU": jax.nn.relu,
    "GELU": jax.nn.gelu,
  }
)


class Signals(NamedTuple):
  """The activations of every layer, and the gradients with respect to its weighted sums.

  Attributes:
    activations: outputs of every layer.
    gradients: of a random weighting of the last layer's outputs, by every layer's weighted sums.
  """

  activations: Float[Array, "layers examples width"]
  gradients: Float[Array, "layers examples width"]


def drawn_weights(
  init: Initializer, key: Key[Array, ""], layers: int, width: int
) -> Float[Array, "layers width width"]:
  """Weights of square layers, in the default precision; `init` as in `research.initializers`."""
  draw = lambda key: init(key, (width, width), float)
  return jax.vmap(draw)(jax.random.split(key, layers))


def signals(
  activation: Activation,
  weights: Float[Array, "layers width width"],
  x: Float[Array, "examples width"],
  reading: Float[Array, "examples width"],
) -> Signals:
  """Sends `x` through layers without biases, and `reading`, a weighting of the outputs, back."""

  def forward(shifts: Float[Array, "layers examples width"]) -> tuple[Array, Array]:
    def layer(a: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
      w, shift = at
      a = activation(a @ w + shift)
      return a, a

    last, activations = jax.lax.scan(layer, x, (weights, shifts))
    return jnp.sum(reading * last), activations

  unmoved = jnp.zeros((len(weights), *x.shape), x.dtype)
  gradients, activations = jax.grad(forward, has_aux=True)(unmoved)
  return Signals(activations, gradients)


def deviations(values: Float[Array, "layers examples width"]) -> Float[Array, " layers"]:
  """Standard deviation of each layer's values, over examples and units together."""
  return values.std(axis=(1, 2))


def sizes(values: Float[Array, "layers examples width"]) -> Float[Array, " layers"]:
  """Root mean square of each layer's values."""
  return jnp.sqrt(jnp.mean(jnp.square(values), axis=(1, 2)))
