"""Gradient check: is the gradient that a learner follows that of the loss it reports?

`check` needs nothing from a learner but the contract. The loss is what `step` reports for given
parameters. The gradient is what `step` subtracts from them under plain gradient descent of rate 1.
So it also finds mistakes in gradients that `jax.grad` of the loss would never see: in a backward
pass written by hand, in a `custom_vjp`, or between the loss and the optimizer. Everything that is
random in a step is fixed by the state's key and step, so dropout keeps one mask, and batch
normalisation takes the batch's statistics, as in training.

The central differences are Ng's: (loss(w + epsilon) - loss(w - epsilon)) / (2 epsilon), in
float64. Where one with a hundredth of epsilon disagrees, a kink of a ReLU or of max pooling lies
between the two points, and the closer difference is taken. Only the loss decides that, never the
gradient, so no mistake is hidden.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from research.config import flatten, replace
from research.errors import UserError

Params = Any
GREAT, SUSPECT, WRONG = 1e-7, 1e-5, 1e-3  # Ng's marks for the relative norm
LANES = 16  # coordinates that are moved at once
ROUNDINGS = 4  # units in the last place by which a small network's loss is off
CLOSER = 100


class Difference(NamedTuple):
  """The distance between two gradients of one parameter array.

  Attributes:
    name: of the parameter, such as "Dense_0/kernel".
    mean_absolute: mean of |a - b| over the coordinates (Saito 2016).
    relative_norm: ||a - b|| / (||a|| + ||b||) over the coordinates (Ng); 0 where rounding of the
      loss alone explains a - b, and where both are nothing beside the whole gradient, as of a bias
      before batch normalisation.
  """

  name: str
  mean_absolute: float
  relative_norm: float


def check_gradient(
  learner: Any,
  config: Any,
  state: Any,
  batch: dict[str, Any],
  *,
  coordinates: int | None = 200,
  epsilon: float = 1e-5,
  seed: int = 0,
) -> list[Difference]:
  """Compares a learner's gradient with central differences of its loss.

  Args:
    learner: a `Learner` whose state holds `params` and whose step reports "loss".
    config: its settings; the rate, and the optimizer if it has one, are replaced by plain SGD.
    state: where to check; of its fields only `opt_state` is made anew.
    batch: a few examples; more than one for batch normalisation.
    coordinates: how many of each parameter array, drawn from `seed`; None for all.
    epsilon: half the distance of the central difference.
    seed: of the draw.

  Raises:
    UserError: for a learner that cannot be checked this way.
  """
  settings = plain_gradient_descent(config)
  if not hasattr(state, "params"):
    raise UserError("the gradient check needs a state with a field `params`")
  if hasattr(state, "opt_state"):
    fresh = jax.jit(learner.init)(settings, jax.random.key(seed))
    state = state._replace(opt_state=fresh.opt_state)
  with jax.enable_x64(True):
    start, settings, batch = (in_float64(tree) for tree in (state, settings, batch))

    def step(params: Params) -> tuple[Any, dict[str, Array]]:
      return learner.step(settings, start._replace(params=params), batch)

    if "loss" not in jax.eval_shape(step, start.params)[1]:
      raise UserError('the gradient check needs a step that reports its "loss"')

    def gradient(params: Params) -> Params:
      return jax.tree.map(lambda before, after: before - after, params, step(params)[0].params)

    return compare(
      lambda params: step(params)[1]["loss"],
      gradient,
      start.params,
      coordinates=coordinates,
      epsilon=epsilon,
      seed=seed,
    )


def compare(
  loss: Callable[[Params], Float[Array, ""]],
  gradient: Callable[[Params], Params],
  params: Params,
  *,
  coordinates: int | None = None,
  epsilon: float = 1e-5,
  seed: int = 0,
) -> list[Difference]:
  """Compares any function's gradient with central differences, parameter by parameter.

  Args:
    loss: of the parameters; called in float64.
    gradient: of the parameters, such as `jax.grad(loss)`.
    params: where to compare; a pytree of floating-point arrays.
    coordinates: how many of each array, drawn from `seed`; None for all.
    epsilon: half the distance of the central difference.
    seed: of the draw.
  """
  with jax.enable_x64(True):
    params = in_float64(params)
    start, as_params = ravel_pytree(params)
    by_hand = np.asarray(jax.jit(lambda start: ravel_pytree(gradient(as_params(start)))[0])(start))

    def slope(start: Array, epsilon: Array, coordinate: Array) -> Array:
      at = lambda by: loss(as_params(start.at[coordinate].add(by)))
      return (at(epsilon) - at(-epsilon)) / (2 * epsilon)

    @jax.jit
    def slopes(start: Array, coordinates: Array, epsilon: Array) -> Array:
      of_one = functools.partial(slope, start, epsilon)
      return jax.lax.map(of_one, coordinates, batch_size=LANES)

    rounding = ROUNDINGS * np.finfo(float).eps * abs(float(jax.jit(loss)(params))) / (2 * epsilon)
    rng = np.random.default_rng(seed)
    arrays = _arrays(params)
    chosen = [_draw(rng, size, coordinates) for _, size in arrays]
    firsts = np.cumsum([0, *(size for _, size in arrays)])
    asked = np.concatenate([first + at for first, at in zip(firsts, chosen, strict=False)])
    far, near = (
      np.asarray(slopes(start, jnp.asarray(asked), jnp.float64(distance)))
      for distance in (epsilon, epsilon / CLOSER)
    )
    has_kink = np.abs(far - near) > CLOSER * rounding
    ends = np.cumsum([len(at) for at in chosen])[:-1]
    noise = np.split(np.where(has_kink, CLOSER * rounding, rounding), ends)
    numerical = np.split(np.where(has_kink, near, far), ends)
    analytical = np.split(by_hand[asked], ends)
    nothing = GREAT * np.linalg.norm(by_hand)
    return [
      _difference(name, a, b, np.linalg.norm(own), nothing)
      for (name, _), a, b, own in zip(arrays, analytical, numerical, noise, strict=True)
    ]


def central_differences(function: Callable[[Any], Float[Array, ""]], at: Any, h: float) -> Any:
  """(f(x + h) - f(x - h)) / 2h for every coordinate of every array of the tree `at`; its like."""
  leaves, tree = jax.tree.flatten(at)

  def slopes(number: int) -> Array:
    x = leaves[number]
    with_moved = lambda move: [*leaves[:number], x + move.reshape(x.shape), *leaves[number + 1 :]]
    moved = lambda move: function(jax.tree.unflatten(tree, with_moved(move)))
    moves = h * jnp.eye(x.size, dtype=x.dtype)
    return jax.vmap(lambda move: (moved(move) - moved(-move)) / (2 * h))(moves).reshape(x.shape)

  return jax.tree.unflatten(tree, map(slopes, range(len(leaves))))


def largest_difference(a: Any, b: Any) -> float:
  """The largest absolute difference between two trees of arrays."""
  differences = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), a, b)
  return max(jax.tree.leaves(differences))


def relative_difference(a: Any, b: Any) -> float:
  """The largest absolute difference between two trees over the largest number of the first."""
  nothing = jax.tree.map(jnp.zeros_like, a)
  return largest_difference(a, b) / largest_difference(a, nothing)


def worst(differences: list[Difference]) -> Difference:
  """The parameter with the largest relative norm; one that is not a number is the worst of all."""
  return max(differences, key=lambda found: np.nan_to_num(found.relative_norm, nan=np.inf))


def verdict(relative_norm: float) -> str:
  """Ng's reading of a relative norm."""
  if relative_norm <= GREAT:
    return "great"
  if relative_norm <= SUSPECT:
    return "good"
  return "look at it again" if relative_norm <= WRONG else "wrong"


def plain_gradient_descent(config: Any) -> Any:
  """The config with its update rules, however deep they are nested, replaced by w - gradient.

  Raises:
    UserError: where the config has no field `learning_rate`, of an optimizer or of its own.
  """
  plain = {
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1.0,
    "optimizer.schedule": "constant",
    "optimizer.weight_decay": 0.0,
    "optimizer.warmup": None,
    "optimizer.clip_norm": None,
    "optimizer.clip_value": None,
    "optimizer.groups": None,
    "optimizer.fields": None,
    "optimizer.ema": None,
    "optimizer.micro_batches": None,
    "learning_rate": 1.0,
    "clip": 1e9,  # a gradient that was cut is not the loss's
  }
  changes = {
    name: value
    for name in flatten(config)
    for end, value in plain.items()
    if f".{name}".endswith(f".{end}")
  }
  if not any(f".{name}".endswith(".learning_rate") for name in changes):
    raise UserError(
      "the gradient check makes a step plain gradient descent of rate 1 through a part `optimizer` "
      "or a field `learning_rate` of the config; this config has neither"
    )
  return replace(config, changes)


def in_float64(tree: Any) -> Any:
  """The tree with all floating-point arrays and numbers in float64; call it under `enable_x64`."""

  def convert(leaf: Any) -> Any:
    if isinstance(leaf, float):
      return jnp.float64(leaf)
    is_float = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.asarray(leaf, jnp.float64) if is_float else leaf

  return jax.tree.map(convert, tree)


def _arrays(params: Params) -> list[tuple[str, int]]:
  """Name and size of every array, in the order of the flat vector."""
  return [
    (jax.tree_util.keystr(path, simple=True, separator="/"), leaf.size)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  ]


def _draw(rng: np.random.Generator, size: int, coordinates: int | None) -> np.ndarray:
  if coordinates is None or coordinates >= size:
    return np.arange(size)
  return np.sort(rng.choice(size, coordinates, replace=False))


def _difference(
  name: str, a: np.ndarray, b: np.ndarray, noise: np.floating, nothing: np.floating
) -> Difference:
  """`noise` is the norm that rounding of the loss can give to `b`; norms up to `nothing` are 0."""
  size, apart = np.linalg.norm(a) + np.linalg.norm(b), np.linalg.norm(a - b)
  relative = 0.0 if size == 0 else float(apart / size)
  if relative > GREAT and (apart <= noise or size <= nothing):
    relative = 0.0
  return Difference(name, float(np.mean(np.abs(a - b))), relative)
