"""Activations and their derivatives, and why a linear one makes depth useless (P04, P05).

Saito 2016, section 3.2: step, sigmoid, ReLU, tanh and identity on x in [-5, 5) in steps of 0.1,
with sigmoid(1) = 0.731... and sigmoid(2) = 0.880.... With h(x) = cx three layers are one,
h(h(h(x))) = c^3 x, and so is any linear net: here three layers of random weights and biases are
compared with the best single affine map.

    python launch.py --experiment=activations

Expected: a linear net leaves an affine map nothing (below 1e-20 of the variance), all others do.
No training; about 10 seconds on two CPU cores, less when compiled before.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

Function = Callable[[Array], Array]


@ln.pytree_config
class Config:
  """The random nets of P05."""

  slope: float = ln.traced(1.5, "c of the linear activation h(x) = cx", above=0)
  nets: int = ln.static(100, "random nets of three layers", at_least=1)
  width: int = ln.static(8, "inputs, units of each layer, and outputs", at_least=3)
  examples: int = ln.static(500, "random inputs to each net", at_least=100)


class Activation(NamedTuple):
  """h(x), and its derivative written out."""

  value: Function
  slope: Function


def sigmoid(x: Array) -> Array:
  """1 / (1 + exp(-x)), without overflow: exp of a positive number is never taken."""
  small = jnp.exp(-jnp.abs(x))
  return jnp.where(x >= 0, 1.0, small) / (1 + small)


ACTIVATIONS = {
  "step": Activation(lambda x: (x > 0).astype(x.dtype), jnp.zeros_like),
  "sigmoid": Activation(sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
  "ReLU": Activation(lambda x: jnp.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
  "tanh": Activation(jnp.tanh, lambda x: 1 - jnp.tanh(x) ** 2),
  "identity": Activation(lambda x: x, jnp.ones_like),
}


def slope_error(activation: Activation, x: Float[Array, " n"], h: float = 1e-5) -> float:
  """Largest difference between the written derivative and the central difference, away from 0.

  Step and ReLU have no derivative at 0; a difference quotient across it means nothing.
  """
  x = x[jnp.abs(x) > h]
  quotient = (activation.value(x + h) - activation.value(x - h)) / (2 * h)
  return ln.largest_difference(activation.slope(x), quotient)


def random_net(config: Config, key: Array) -> tuple[Array, Array, Array]:
  """Normal inputs [examples, width] to three layers, and their weights and biases.

  Weights [3, width, width] keep the variance; biases are [3, 1, width].
  """
  width = config.width
  shapes = ((config.examples, width), (3, width, width), (3, 1, width))
  x, weights, biases = map(jax.random.normal, jax.random.split(key, 3), shapes)
  return x, weights / jnp.sqrt(width), biases


def beyond_affine(h: Function, net: tuple[Array, Array, Array]) -> Float[Array, ""]:
  """Share of the net's variance that the best affine map of its inputs misses."""
  inputs, *layers = net
  x = inputs
  for weights, biases in zip(*layers, strict=True):
    x = h(x @ weights + biases)
  basis, _ = jnp.linalg.qr(jnp.column_stack([inputs, jnp.ones(len(x))]))
  missed = x - basis @ (basis.T @ x)
  return jnp.sum(missed**2) / jnp.sum((x - x.mean(axis=0, keepdims=True)) ** 2)


def rank_through_a_waist(h: Function, config: Config, key: Array, waist: int) -> int:
  """Rank of the outputs of a net without biases, width-waist-width, over more inputs than units."""
  first, second, third = jax.random.split(key, 3)
  x = jax.random.normal(first, (config.examples, config.width))
  x = h(x @ jax.random.normal(second, (config.width, waist)))
  return int(jnp.linalg.matrix_rank(h(x @ jax.random.normal(third, (waist, config.width)))))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Values, derivatives, and what depth adds; all in float64."""
  values, depth, claims = ln.claims("P04"), ln.claims("P05"), []
  with jax.enable_x64(True):
    for x, digits, middle in ((1, "0.731...", 0.7315), (2, "0.880...", 0.8805)):
      y = float(sigmoid(jnp.array(float(x))))
      claims.append(values(f"sigmoid({x})", digits, y, ln.within(middle, 0.0005)))
    grid = jnp.arange(-50, 50) / 10
    for name, activation in ACTIVATIONS.items():
      what = f"{name}: derivative against central differences, largest error on the grid"
      claims.append(values(what, "equal", slope_error(activation, grid), ln.at_most(1e-9)))

    linear = lambda x: config.slope * x
    relative = linear(linear(linear(grid))) / (config.slope**3 * grid) - 1
    thrice = float(jnp.max(jnp.abs(relative)[grid != 0]))
    what = "h(h(h(x))) against c^3 x on the grid, h(x) = cx, largest relative error"
    claims.append(depth(what, "equal", thrice, ln.at_most(1e-15)))
    keys = jax.random.split(lab.key("nets"), config.nets)
    nets = jax.jit(jax.vmap(lambda key: random_net(config, key)))(keys)
    share = lambda h: np.asarray(jax.jit(jax.vmap(lambda net: beyond_affine(h, net)))(nets))
    what = "three random layers: variance that no affine map gives"
    for name, h in (("identity", ACTIVATIONS["identity"].value), ("linear", linear)):
      most, bar = share(h).max(), ln.at_most(1e-20)
      claims.append(depth(f"{name}, {what}, largest of the nets", "none", most, bar))
    for name in ("step", "sigmoid", "ReLU", "tanh"):
      least, bar = share(ACTIVATIONS[name].value).min(), ln.at_least(0.001)
      claims.append(depth(f"{name}, {what}, smallest of the nets", "some", least, bar, "%"))
    waist = config.width // 2
    what = f"rank of the outputs behind a layer of {waist} units"
    rank = lambda h: rank_through_a_waist(h, config, lab.key("waist"), waist)
    of_linear, of_relu = rank(linear), rank(ACTIVATIONS["ReLU"].value)
    claims += [
      depth(f"linear: {what}", f"{waist}", of_linear, ln.equals(waist)),
      depth(f"ReLU: {what}", f"above {waist}", of_relu, ln.at_least(waist + 1)),
    ]
    return ln.Report(claims, pictures())


def pictures() -> list[ln.Picture]:
  """The functions with their derivatives, and two of them alone."""
  x = jnp.linspace(-5, 5, 401)
  values = {name: (x, activation.value(x)) for name, activation in ACTIVATIONS.items()}
  slopes = {name: (x, activation.slope(x)) for name, activation in ACTIVATIONS.items()}
  both = ln.function_curves(
    [ln.Panel("h(x)", values, "activation"), ln.Panel("h'(x)", slopes, "derivative")],
    title="Activations and their derivatives",
    x="x",
    caption="Step's derivative is 0 wherever it has one, so that nothing could be learned "
    "through it; sigmoid's is at most 1/4, ReLU's is 1 or 0.",
    file="activations",
  )
  step_and_sigmoid = ln.function_curves(
    [ln.Panel("h(x)", {name: values[name] for name in ("step", "sigmoid")})],
    title="Step and sigmoid",
    x="x",
    caption="Both go from 0 to 1; only the sigmoid is smooth, and takes all values between.",
    file="step_and_sigmoid",
  )
  return [both, step_and_sigmoid]


experiment = ln.Experiment(Config, run)
