"""Training in numbers of 16 bits around weights of 32 (Micikevicius et al. 2018).

The optimizer moves float32 weights. The forward and backward passes see them, and the inputs,
rounded to bfloat16 or float16; normalisations, the softmax of attention and losses are computed in
float32. float16 ends at 65,504 and knows nothing below 6e-8, so that there the loss is multiplied
by a scale before it is differentiated, and the gradient divided by it. A scale that is too large
shows as a gradient that is not finite: this step then moves nothing, and the scale is halved; after
many good steps it is doubled. It is part of the optimizer's state, and so of the checkpoint.
"""

import functools
import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from research.errors import MOST_NAMES, UserError
from research.layers.batch_norm import BatchNorm
from research.parameter_groups import check_pattern

NORMALISATIONS = (
  BatchNorm,
  nn.BatchNorm,
  nn.LayerNorm,
  nn.GroupNorm,
  nn.InstanceNorm,
  nn.RMSNorm,
)
FIRST_SCALE = 2.0**16
GOOD_STEPS = 2000  # before the scale is doubled

Forward = Callable[[Any, Any], Any]


class Precision(NamedTuple):
  """Number formats of a forward and backward pass.

  Attributes:
    short: name of the type of 16 bits; None for float32 everywhere.
    full: regular expressions, divided by ";", that the paths of those modules begin with that are
      computed in float32 all the same; None for none.
  """

  short: str | None = None
  full: str | None = None


def in_precision(precision: Precision, forward: Forward) -> Forward:
  """A network's pass in 16 bits, its results in the type of the weights; as it is without any.

  Args:
    precision: the formats.
    forward: of a model's variables, such as {"params": ...}, and its inputs; a tree of arrays.
  """
  if precision.short is None:
    return forward
  dtype = jnp.dtype(precision.short)

  def short(variables: Any, inputs: Any) -> Any:
    full = _full_modules(precision, forward, variables, inputs)

    def rounded(path: jax.tree_util.KeyPath, leaf: Array) -> Array:
      name = jax.tree_util.keystr(path, simple=True, separator="/")
      return leaf if _is_inside(name, full) else _cast(leaf, dtype)

    params = jax.tree_util.tree_map_with_path(rounded, variables["params"])
    inputs = jax.tree.map(lambda leaf: _cast(leaf, dtype), inputs)
    with nn.intercept_methods(functools.partial(_in_own_precision, dtype, full)):
      results = forward({**variables, "params": params}, inputs)
    wide = jnp.result_type(float)
    return jax.tree.map(lambda leaf: _cast(leaf, wide), results)

  return short


def _full_modules(
  precision: Precision, forward: Forward, variables: Any, inputs: Any
) -> Collection[str]:
  """Paths of the modules that are computed in float32.

  Raises:
    UserError: where an expression is none, or where no module's path begins with it.
  """
  patterns = _patterns(precision.full)
  paths: dict[str, bool] = {}

  def look(next_method: Any, args: Any, kwargs: Any, context: Any) -> Any:
    path = "/".join(context.module.path)
    is_named = any(re.match(pattern, path) for pattern in patterns)
    paths[path] = is_named or isinstance(context.module, NORMALISATIONS)
    return next_method(*args, **kwargs)

  with nn.intercept_methods(look):
    jax.eval_shape(forward, variables, inputs)
  for pattern in patterns:
    if not any(re.match(pattern, path) for path in paths):
      listed = ", ".join([path for path in paths if path][: 2 * MOST_NAMES])
      raise UserError(
        f"full_precision: no module's path begins with {pattern!r}; there are {listed}"
      )
  return {path for path, is_full in paths.items() if is_full and path}


def _patterns(text: str | None) -> list[str]:
  patterns = [part.strip() for part in (text or "").split(";") if part.strip()]
  for pattern in patterns:
    check_pattern("full_precision", pattern)
  return patterns


def _in_own_precision(
  short: Any, full: Collection[str], next_method: Any, args: Any, kwargs: Any, context: Any
) -> Any:
  """Linen interceptor: a module gets its arguments in its own precision.

  What one in float32 returns goes back to the type in which its arguments came.
  """
  if context.method_name == "setup":
    return next_method(*args, **kwargs)
  is_full = _is_inside("/".join(context.module.path), full)
  own = jnp.result_type(float) if is_full else short
  floats = [leaf.dtype for leaf in jax.tree.leaves((args, kwargs)) if _is_float(leaf)]
  args, kwargs = jax.tree.map(lambda leaf: _cast(leaf, own), (args, kwargs))
  results = next_method(*args, **kwargs)
  if not (is_full and floats):
    return results
  return jax.tree.map(lambda leaf: _cast(leaf, floats[0]), results)


def _is_inside(path: str, modules: Collection[str]) -> bool:
  """True where a module or parameter is one of some modules or a part of one."""
  return any(path == module or path.startswith(module + "/") for module in modules)


def _is_float(leaf: Any) -> bool:
  return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _cast(leaf: Any, dtype: Any) -> Any:
  return leaf.astype(dtype) if _is_float(leaf) else leaf


class LossScale(NamedTuple):
  """The state of `with_loss_scale`.

  Attributes:
    scale: of the loss that is differentiated.
    good: steps in a row with a finite gradient since the scale last changed.
    inner: the optimizer's.
  """

  scale: Float[Array, ""]
  good: Int[Array, ""]
  inner: optax.OptState


def with_loss_scale(
  update: optax.GradientTransformation, first: float = FIRST_SCALE, good_steps: int = GOOD_STEPS
) -> optax.GradientTransformationExtraArgs:
  """The optimizer of a loss that is multiplied by `loss_scale` of its state.

  Micikevicius et al. 2018, section 3.2, with the numbers of PyTorch's `GradScaler`.

  Args:
    update: gets gradients of the loss itself, always finite.
    first: scale.
    good_steps: in a row after which the scale is doubled.
  """
  update = optax.with_extra_args_support(update)

  def init(params: optax.Params) -> LossScale:
    return LossScale(jnp.float32(first), jnp.int32(0), update.init(params))

  def step(
    gradients: optax.Updates, state: LossScale, params: optax.Params | None = None, **extra: Any
  ) -> tuple[optax.Updates, LossScale]:
    is_good = _is_finite(gradients)
    keep = lambda leaf: jnp.where(is_good, leaf / state.scale.astype(leaf.dtype), 0)
    updates, inner = update.update(jax.tree.map(keep, gradients), state.inner, params, **extra)
    updates = jax.tree.map(lambda leaf: jnp.where(is_good, leaf, 0), updates)
    inner = jax.tree.map(lambda new, old: jnp.where(is_good, new, old), inner, state.inner)
    good = jnp.where(is_good, state.good + 1, 0)
    grows = good >= good_steps
    scale = jnp.where(grows, 2 * state.scale, state.scale)
    scale = jnp.where(is_good, scale, jnp.maximum(state.scale / 2, 1))
    return updates, LossScale(scale, jnp.where(grows, 0, good), inner)

  return optax.GradientTransformationExtraArgs(init, step)


def _is_finite(tree: Any) -> Bool[Array, ""]:
  leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
  return jnp.all(jnp.stack(leaves))


def loss_scale(precision: Precision, opt_state: optax.OptState) -> Float[Array, ""] | None:
  """The factor of the loss that is differentiated; None where it is differentiated as it is.

  Raises:
    UserError: for float16 under an optimizer that is not made by `make_optimizer`.
  """
  if precision.short != "float16":
    return None
  if not isinstance(opt_state, LossScale):
    raise UserError(
      "optimizer.precision=float16 needs the optimizer of make_optimizer, which scales the loss; "
      "give bfloat16, which needs no scale"
    )
  return opt_state.scale


def scaled(loss: Float[Array, ""], scale: Float[Array, ""] | None) -> Float[Array, ""]:
  """The loss that is differentiated."""
  return loss if scale is None else loss * scale
