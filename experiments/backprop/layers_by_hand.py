"""Layers with their backward passes written by hand (B03, B04).

Saito 2016, sections 5.5, 5.6 and appendix A (the notes' 4.5 and 4.6): ReLU, sigmoid, affine for one
example and for a batch, and softmax with cross-entropy, whose derivative is y - t; a value used
twice gets the sum of what comes back. The identity with the squared error gives y - t as well.
Each layer is a `jax.custom_vjp`: its forward pass and, beside it, the book's backward pass.

    python launch.py --experiment=layers_by_hand

Expected: equal to `jax.grad` to 1e-6 in float32, and to central differences to 1e-8 in float64; a
few seconds.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

Rows = Float[Array, "batch classes"]


@ln.pytree_config
class Config:
  """The sizes of the layers that are compared."""

  batch: int = ln.static(7, "examples", at_least=1)
  features: int = ln.static(5, "inputs of a layer", at_least=1)
  classes: int = ln.static(4, "outputs of a layer", at_least=2)


@jax.custom_vjp
def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """A switch: x where it is positive, else 0."""
  return jnp.where(x > 0, x, 0)


relu.defvjp(lambda x: (relu(x), x > 0), lambda is_on, d: (jnp.where(is_on, d, 0),))


@jax.custom_vjp
def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """1 / (1 + exp(-x)); what it hands back needs its output only."""
  return 1 / (1 + jnp.exp(-x))


sigmoid.defvjp(lambda x: (sigmoid(x),) * 2, lambda y, d: (d * y * (1 - y),))


@jax.custom_vjp
def affine(
  x: Float[Array, "*batch n"], w: Float[Array, "n m"], b: Float[Array, " m"]
) -> Float[Array, "*batch m"]:
  """x W + b, for one example or for a batch."""
  y = x @ w
  return y + jnp.broadcast_to(b, y.shape)


def affine_backward(kept: tuple[Array, Array], d: Array) -> tuple[Array, Array, Array]:
  """d W' to x, x' d to W, and to b, which every example received, the sum over the batch."""
  x, w = kept
  rows, d_rows = jnp.atleast_2d(x), jnp.atleast_2d(d)
  return d @ w.T, rows.T @ d_rows, d_rows.sum(axis=0)


affine.defvjp(lambda x, w, b: (affine(x, w, b), (x, w)), affine_backward)


@jax.custom_vjp
def softmax_with_loss(a: Rows, t: Rows) -> Float[Array, ""]:
  """Mean cross-entropy of softmax(a) with one-hot targets."""
  return mean_cross_entropy(softmax(a), t)


def softmax(a: Rows) -> Rows:
  """exp(a) / sum(exp(a)); the largest a is taken off first, lest exp overflows."""
  e = jnp.exp(a - a.max(axis=-1, keepdims=True))
  return e / e.sum(axis=-1, keepdims=True)


def mean_cross_entropy(y: Rows, t: Rows) -> Float[Array, ""]:
  """-sum t log y, over the number of examples."""
  return -jnp.sum(t * jnp.log(y)) / len(t)


def y_minus_t(kept: tuple[Rows, Rows], d: Float[Array, ""]) -> tuple[Rows, Rows]:
  """The derivative that both pairs of output and loss share; targets are not learned."""
  y, t = kept
  return d * (y - t) / len(t), jnp.zeros_like(t)


def softmax_with_loss_forward(a: Rows, t: Rows) -> tuple[Array, tuple[Rows, Rows]]:
  """The loss, and what the backward pass needs."""
  y = softmax(a)
  return mean_cross_entropy(y, t), (y, t)


softmax_with_loss.defvjp(softmax_with_loss_forward, y_minus_t)


@jax.custom_vjp
def identity_with_loss(a: Rows, t: Rows) -> Float[Array, ""]:
  """Mean of half the squared distance."""
  return 0.5 * jnp.sum(jnp.square(a - t)) / len(t)


identity_with_loss.defvjp(lambda a, t: (identity_with_loss(a, t), (a, t)), y_minus_t)


@jax.custom_vjp
def branch(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
  """One value used twice; the derivatives that come back are added."""
  return x, x


branch.defvjp(lambda x: ((x, x), None), lambda _, d: (d[0] + d[1],))


class Case(NamedTuple):
  """A function by our layers, the same by plain `jax.numpy`, and its arguments' shapes."""

  by_hand: Callable[..., Array]
  plain: Callable[..., Array]
  shapes: Mapping[str, tuple[int, ...]]


def residual(x: Array, w: Array, b: Array) -> Array:
  """x + relu(x W + b): x branches."""
  around, through = branch(x)
  return around + relu(affine(through, w, b))


def cases(config: Config, t: Array) -> dict[str, Case]:
  """Every layer on its own, and one block where a value branches."""
  n, m, batch = config.features, config.classes, config.batch
  weights = {"w": (n, m), "b": (m,)}
  plain_affine, squares = affine.fun, identity_with_loss  # without the pass by hand
  plain_softmax = lambda a: -jnp.sum(t * jax.nn.log_softmax(a)) / len(t)
  plain_residual = lambda x, w, b: x + jax.nn.relu(plain_affine(x, w, b))
  of = lambda loss: lambda a: loss(a, t)
  return {
    "ReLU": Case(relu, jax.nn.relu, {"x": (batch, n)}),
    "sigmoid": Case(sigmoid, jax.nn.sigmoid, {"x": (batch, n)}),
    "affine, one example": Case(affine, plain_affine, {"x": (n,), **weights}),
    "affine, batch": Case(affine, plain_affine, {"x": (batch, n), **weights}),
    "softmax with loss": Case(of(softmax_with_loss), plain_softmax, {"a": (batch, m)}),
    "identity with loss": Case(of(squares), of(squares.fun), {"a": (batch, m)}),
    "branch": Case(residual, plain_residual, {"x": (batch, n), "w": (n, n), "b": (n,)}),
  }


def scalar(function: Callable[..., Array]) -> Callable[[dict[str, Array]], Array]:
  """A scalar that depends on every output, as a function of named arguments."""

  def total(arguments: dict[str, Array]) -> Array:
    y = function(**arguments)
    return jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape)))

  return total


def draw(case: Case, rng: np.random.Generator) -> dict[str, Array]:
  """Normal arguments, in the default precision."""
  return {name: jnp.asarray(rng.normal(size=s), float) for name, s in case.shapes.items()}


def targets(config: Config, rng: np.random.Generator) -> Array:
  """One-hot rows."""
  return jnp.asarray(np.eye(config.classes)[rng.integers(0, config.classes, config.batch)], float)


DISTANCES = tuple(10.0**power for power in range(-11, -1))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each layer against `jax.grad` in both precisions, and against central differences."""
  claims, layer, squares = [], ln.claims("B03"), ln.claims("B04")
  rng = np.random.default_rng(lab.seed)
  for name, case in cases(config, targets(config, rng)).items():
    arguments = draw(case, rng)
    ours, theirs = (jax.jit(jax.grad(scalar(f)))(arguments) for f in (case.by_hand, case.plain))
    what = f"{name}: by hand against jax.grad, float32, worst difference"
    claims.append(layer(what, "equal", ln.largest_difference(ours, theirs), ln.at_most(1e-6)))
  with jax.enable_x64(True):
    t, errors = targets(config, rng), {}
    for name, case in cases(config, t).items():
      arguments = draw(case, rng)
      ours = jax.jit(jax.grad(scalar(case.by_hand)))(arguments)
      numerical = jax.jit(functools.partial(ln.central_differences, scalar(case.plain)))
      errors[name] = [ln.largest_difference(ours, numerical(arguments, h)) for h in DISTANCES]
      what = f"{name}: by hand against central differences, float64, worst difference"
      error = errors[name][DISTANCES.index(1e-5)]
      claims.append(layer(what, "equal", error, ln.at_most(1e-8)))
    a = jnp.asarray(rng.normal(size=t.shape))
    off = lambda loss, y: ln.largest_difference(len(t) * jax.grad(loss.fun)(a, t), y - t)
    what = "jax.grad against y - t, float64, worst difference"
    of_softmax, of_squares = off(softmax_with_loss, softmax(a)), off(identity_with_loss, a)
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
