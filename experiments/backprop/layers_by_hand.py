"""Layers with their backward passes written by hand (B03, B04).

Saito 2016, sections 5.5, 5.6 and appendix A: ReLU, sigmoid, affine for one example and for a batch,
and softmax with cross-entropy, whose derivative is y - t; a value used twice gets the sum of what
comes back. The identity with the squared error gives y - t as well. Each layer is its forward pass,
which also returns what is kept, and the book's backward pass.

    python launch.py --experiment=layers_by_hand

Expected: equal to `jax.grad` to 1e-6 in float32, and to central differences to 1e-8 in float64; a
few seconds.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

Rows = Float[Array, "batch classes"]
Layer = Callable[..., Any]


@ln.pytree_config
class Config:
  """The sizes of the layers that are compared."""

  batch: int = ln.static(7, "examples", at_least=1)
  features: int = ln.static(5, "inputs of a layer", at_least=1)
  classes: int = ln.static(4, "outputs of a layer", at_least=2)


def by_hand(forward: Layer, backward: Layer) -> Layer:
  """The layer that JAX differentiates by these two passes."""
  layer = jax.custom_vjp(lambda *x: forward(*x)[0])
  layer.defvjp(forward, backward)
  return layer


def sigmoid_forward(x: Float[Array, "..."]) -> tuple[Array, Array]:
  """1 / (1 + exp(-x)); what it hands back needs its output only."""
  y = 1 / (1 + jnp.exp(-x))
  return y, y


def affine_forward(
  x: Float[Array, "*batch n"], w: Float[Array, "n m"], b: Float[Array, " m"]
) -> tuple[Float[Array, "*batch m"], tuple[Array, Array]]:
  """x W + b, for one example or for a batch."""
  y = x @ w
  return y + jnp.broadcast_to(b, y.shape), (x, w)


def affine_backward(kept: tuple[Array, Array], d: Array) -> tuple[Array, Array, Array]:
  """d W' to x, x' d to W, and to b, which every example received, the sum over the batch."""
  x, w = kept
  rows, d_rows = jnp.atleast_2d(x), jnp.atleast_2d(d)
  return d @ w.T, rows.T @ d_rows, d_rows.sum(axis=0)


def softmax(a: Rows) -> Rows:
  """exp(a) / sum(exp(a)); the largest a is taken off first, lest exp overflows."""
  e = jnp.exp(a - a.max(axis=-1, keepdims=True))
  return e / e.sum(axis=-1, keepdims=True)


def softmax_forward(a: Rows, t: Rows) -> tuple[Array, tuple[Rows, Rows]]:
  """Mean cross-entropy of softmax(a) with one-hot targets."""
  y = softmax(a)
  return -jnp.sum(t * jnp.log(y)) / len(t), (y, t)


def squares_forward(a: Rows, t: Rows) -> tuple[Array, tuple[Rows, Rows]]:
  """Mean of half the squared distance."""
  return 0.5 * jnp.sum(jnp.square(a - t)) / len(t), (a, t)


def y_minus_t(kept: tuple[Rows, Rows], d: Float[Array, ""]) -> tuple[Rows, Rows]:
  """The derivative that both pairs of output and loss share; targets are not learned."""
  y, t = kept
  return d * (y - t) / len(t), jnp.zeros_like(t)


# A switch, x where it is positive, else 0; and a value used twice, which gets a sum.
relu = by_hand(lambda x: (jnp.where(x > 0, x, 0), x > 0), lambda on, d: (jnp.where(on, d, 0),))
branch = by_hand(lambda x: ((x, x), None), lambda _, d: (d[0] + d[1],))
sigmoid = by_hand(sigmoid_forward, lambda y, d: (d * y * (1 - y),))
affine = by_hand(affine_forward, affine_backward)
softmax_with_loss = by_hand(softmax_forward, y_minus_t)
identity_with_loss = by_hand(squares_forward, y_minus_t)


def residual(x: Array, w: Array, b: Array) -> Array:
  """x + relu(x W + b): x branches."""
  around, through = branch(x)
  return around + relu(affine(through, w, b))


def cases(config: Config, t: Rows) -> dict[str, tuple[Any, ...]]:
  """By name: a layer by hand, the same by plain `jax.numpy`, and its arguments' shapes."""
  n, m, x = config.features, config.classes, (config.batch, config.features)
  plain_affine = lambda x, w, b: affine_forward(x, w, b)[0]
  plain_softmax = lambda a: -jnp.sum(t * jax.nn.log_softmax(a)) / len(t)
  plain_squares = lambda a: squares_forward(a, t)[0]
  plain_residual = lambda x, w, b: x + jax.nn.relu(plain_affine(x, w, b))
  of = lambda loss: lambda a: loss(a, t)
  return {
    "ReLU": (relu, jax.nn.relu, x),
    "sigmoid": (sigmoid, jax.nn.sigmoid, x),
    "affine, one example": (affine, plain_affine, (n,), (n, m), (m,)),
    "affine, batch": (affine, plain_affine, x, (n, m), (m,)),
    "softmax with loss": (of(softmax_with_loss), plain_softmax, t.shape),
    "identity with loss": (of(identity_with_loss), plain_squares, t.shape),
    "branch": (residual, plain_residual, x, (n, n), (n,)),
  }


def scalar(layer: Layer) -> Layer:
  """A scalar that depends on every output, as a function of the list of arguments."""
  weigh = lambda y: jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape)))
  return lambda arguments: weigh(layer(*arguments))


DISTANCES = tuple(10.0**power for power in range(-11, -1))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each layer against `jax.grad` in both precisions, and against central differences."""
  claims, layer, squares = [], ln.claims("B03"), ln.claims("B04")
  worst, differences = ln.largest_difference, ln.central_differences
  rng, errors = np.random.default_rng(lab.seed), {}
  normal = lambda shapes: [jnp.asarray(rng.normal(size=shape), float) for shape in shapes]
  one_hot = lambda: np.eye(config.classes)[rng.integers(0, config.classes, config.batch)]
  gradient = lambda layer, x: jax.jit(jax.grad(scalar(layer)))(x)
  for name, (ours, plain, *shapes) in cases(config, jnp.asarray(one_hot(), float)).items():
    x = normal(shapes)
    error, what = worst(gradient(ours, x), gradient(plain, x)), "by hand against jax.grad, float32"
    claims.append(layer(f"{name}: {what}, worst difference", "equal", error, ln.at_most(1e-6)))
  with jax.enable_x64(True):
    t, what = jnp.asarray(one_hot()), "by hand against central differences, float64"
    for name, (ours, plain, *shapes) in cases(config, t).items():
      x = normal(shapes)
      found, numerical = gradient(ours, x), jax.jit(functools.partial(differences, scalar(plain)))
      errors[name] = [worst(found, numerical(x, h)) for h in DISTANCES]
      error = errors[name][DISTANCES.index(1e-5)]
      claims.append(layer(f"{name}: {what}, worst difference", "equal", error, ln.at_most(1e-8)))
    a = jnp.asarray(rng.normal(size=t.shape))
    off = lambda loss, y: worst(len(t) * jax.grad(lambda a: loss(a, t)[0])(a), y - t)
    of_softmax, of_squares = off(softmax_forward, softmax(a)), off(squares_forward, a)
  what = "jax.grad against y - t, float64, worst difference"
  claims += [
    layer(f"softmax with cross-entropy: {what}", "y - t", of_softmax, ln.at_most(1e-14)),
    squares(f"identity with squared error: {what}", "y - t", of_squares, ln.at_most(1e-15)),
  ]
  curves = {name: (DISTANCES, np.maximum(values, 1e-16)) for name, values in errors.items()}
  picture = ln.function_curves(
    [ln.Panel("largest |by hand - numerical|", curves, "float64", log="xy")],
    title="Backward passes against central differences",
    x="h",
    caption="Rounding rules at small h, curvature at large h; a mistake would be a plateau.",
    file="central_differences",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
