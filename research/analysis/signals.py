"""Forward signals and backward gradients in layers of random weights."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research.batch import Batch, inputs_of
from research.initializers import Initializer
from research.losses import softmax_cross_entropy
from research.metrics import Mean

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


class LayerSignals(NamedTuple):
  """The `Signals` of layers of different widths.

  Attributes:
    activations: outputs of every hidden layer.
    gradients: of each example's loss, by every hidden layer's weighted sums.
  """

  activations: list[Float[Array, "examples units"]]
  gradients: list[Float[Array, "examples units"]]


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


def dense_signals(
  activation: Activation,
  params: Mapping[str, Any],
  x: Float[Array, "examples features"],
  loss: Callable[[Float[Array, "examples outputs"]], Float[Array, " examples"]],
) -> LayerSignals:
  """Sends `x` through the layers "Dense_0", "Dense_1", ... of a trained net, and its losses back.

  The last layer is linear; `loss` gives a value for each example's outputs.
  """
  *hidden, last = (params[f"Dense_{number}"] for number in range(len(params)))
  through = lambda layer, a: a @ layer["kernel"] + layer["bias"][None]

  def forward(shifts: list[Array]) -> tuple[Array, list[Array]]:
    a, activations = x, []
    for layer, shift in zip(hidden, shifts, strict=True):
      a = activation(through(layer, a) + shift)
      activations.append(a)
    return loss(through(last, a)).sum(), activations

  unmoved = [jnp.zeros((len(x), layer["bias"].size)) for layer in hidden]
  gradients, activations = jax.grad(forward, has_aux=True)(unmoved)
  return LayerSignals(activations, gradients)


def classifier_signals(activation: str, params: Mapping[str, Any], batch: Batch) -> LayerSignals:
  """Sends a batch's flattened images through as `dense_signals`, and their cross-entropies back."""
  pixels = inputs_of(batch).reshape(len(batch["label"]), -1)
  loss = lambda logits: softmax_cross_entropy(logits, batch)
  return dense_signals(ACTIVATIONS[activation], params, pixels, loss)


def layer_means(found: LayerSignals, weights: Float[Array, " examples"]) -> dict[str, Mean]:
  """Three means of every layer over examples, which may have weights, and over units.

  "activation 1" and "gradient 1" are the mean squares in the first layer, "active 1" is the share
  of its outputs above zero.
  """
  of = lambda values: Mean(jnp.sum(weights * values.mean(axis=1)), weights.sum())
  means = {}
  for layer, (a, g) in enumerate(zip(*found, strict=True), start=1):
    means[f"activation {layer}"] = of(jnp.square(a))
    means[f"gradient {layer}"] = of(jnp.square(g))
    means[f"active {layer}"] = of((a > 0).astype(float))
  return means


def deviations(values: Float[Array, "layers examples width"]) -> Float[Array, " layers"]:
  """Standard deviation of each layer's values, over examples and units together."""
  return values.std(axis=(1, 2))


def sizes(values: Float[Array, "layers examples width"]) -> Float[Array, " layers"]:
  """Root mean square of each layer's values."""
  return jnp.sqrt(jnp.mean(jnp.square(values), axis=(1, 2)))


@functools.partial(jax.jit, static_argnums=0)
def log_sizes(
  activation: str,
  weights: Float[Array, "layers width width"],
  x: Float[Array, "examples width"],
  reading: Float[Array, "examples width"],
) -> Float[Array, "2 layers"]:
  """Logarithms of the root mean squares of `signals`: of the activations, of the gradients."""
  both = signals(ACTIVATIONS[activation], weights, x, reading)
  return jnp.log(jnp.stack([sizes(both.activations), sizes(both.gradients)]))


def factors(measured: Float[np.ndarray, "2 layers"]) -> tuple[float, float]:
  """The factors by which a layer changes activations going forward and gradients going back.

  Geometric means, from the root mean squares of both in every layer; 0 / 0 is not a number.
  """
  forth, back = measured
  each = 1 / (len(forth) - 1)
  with np.errstate(invalid="ignore"):
    return float((forth[-1] / forth[0]) ** each), float((back[0] / back[-1]) ** each)
