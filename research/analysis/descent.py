"""Descent on functions of a few variables, point by point."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Function = Callable[[Float[Array, " p"]], Float[Array, ""]]


def descend(
  function: Function, start: Float[Array, " p"], rule: optax.GradientTransformation, steps: int
) -> Float[Array, "steps+1 p"]:
  """The start, and the point after every update by the function's gradient."""

  def step(carry: tuple[Array, optax.OptState], _: None) -> tuple[tuple, Array]:
    point, state = _update(function, rule, *carry)
    return (point, state), point

  points = jax.lax.scan(step, (start, rule.init(start)), None, length=steps)[1]
  return jnp.concatenate([start[None], points])


def steps_until(
  is_done: Callable[[Float[Array, " p"]], Array],
  function: Function,
  start: Float[Array, " p"],
  rule: optax.GradientTransformation,
  most_steps: int,
) -> int:
  """Counts updates until `is_done` holds for a point; at most `most_steps`."""

  def go_on(carry: tuple[Array, optax.OptState, Array]) -> Array:
    return ~is_done(carry[0]) & (carry[2] < most_steps)

  def step(
    carry: tuple[Array, optax.OptState, Array],
  ) -> tuple[Array, optax.OptState, Array]:
    point, state, count = carry
    return *_update(function, rule, point, state), count + 1

  return int(jax.lax.while_loop(go_on, step, (start, rule.init(start), jnp.int32(0)))[2])


def _update(
  function: Function, rule: optax.GradientTransformation, point: Array, state: optax.OptState
) -> tuple[Array, optax.OptState]:
  change, state = rule.update(jax.grad(function)(point), state, point)
  return jnp.asarray(optax.apply_updates(point, change)), state
