"""Learning-rate schedules as factors of the rate, so that the rate itself may be traced.

One program then serves a whole sweep, over the rate as over the settings of its schedule.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from research.errors import UserError

Scalar = Float[Array, ""]
Number = float | int | Scalar

# Functions of the share of training that is done.
UNIT_SCHEDULES: Mapping[str, Callable[[Scalar], Scalar]] = MappingProxyType(
  {
    "constant": jnp.ones_like,
    "linear": lambda done: 1 - done,
    # Loshchilov and Hutter 2017, equation 5, a single cycle down to zero.
    "cosine": lambda done: (1 + jnp.cos(jnp.pi * done)) / 2,
    # Smith and Topin 2019, section 3: up, then down to zero; a quarter of the run goes up, from a
    # 25th of the rate as in PyTorch, so that the first update moves something.
    "one_cycle": lambda done: jnp.minimum((1 + 96 * done) / 25, (1 - done) / 0.75),
  }
)
# Functions of the factor and of the number of intervals that have passed.
INTERVAL_SCHEDULES: Mapping[str, Callable[[Number, Scalar], Scalar]] = MappingProxyType(
  {
    "step": lambda factor, passed: jnp.power(factor, jnp.floor(passed)),
    "exponential": jnp.power,
  }
)
PLATEAU = "plateau"  # `scale_on_plateau`
SCHEDULES = (*UNIT_SCHEDULES, *INTERVAL_SCHEDULES, PLATEAU)
LEAST_GAIN = 1e-4  # of the loss, that is no plateau; PyTorch's and optax's


def length_in_steps(length: Number, steps: Number) -> Number:
  """A length in whole steps, at least 1: below 1 it is a share of `steps`."""
  return jnp.maximum(jnp.round(jnp.where(length < 1, length * steps, length)), 1)


def factor_of(
  schedule: str, steps: int, *, warmup: Number | None, every: Number, factor: Number
) -> Callable[[Any], Scalar] | None:
  """The factor of the rate at a step; None where it is always 1.

  Args:
    schedule: one of SCHEDULES.
    steps: of the run.
    warmup: the length over which the rate rises linearly to its full value, before the schedule
      begins (Vaswani et al. 2017, section 5.3): the first update has 1 / warmup of the rate.
    every: the interval of `step` and `exponential`; this and `warmup` in steps, or below 1 as a
      share of the run, of that after the warm-up.
    factor: by which the rate is multiplied in each interval.

  Raises:
    UserError: for a warm-up before `one_cycle`, which has one.
  """
  if warmup is None:
    return _factor_after_warmup(schedule, steps, every, factor)
  if schedule == "one_cycle":
    raise UserError(
      "schedule=one_cycle warms up by itself; leave warmup out, or give schedule=linear"
    )
  rise = length_in_steps(warmup, steps)
  later = _factor_after_warmup(schedule, jnp.maximum(steps - rise, 1), every, factor)

  def at(step: Int[Array, ""]) -> Scalar:
    full = later(jnp.maximum(step - rise, 0)) if later else 1.0
    return jnp.where(step < rise, (step + 1) / rise, full)

  return at


def _factor_after_warmup(
  schedule: str, steps: Number, every: Number, factor: Number
) -> Callable[[Any], Scalar] | None:
  if schedule in ("constant", PLATEAU):
    return None
  if schedule in INTERVAL_SCHEDULES:
    interval = length_in_steps(every, steps)
    return lambda step: INTERVAL_SCHEDULES[schedule](factor, step / interval)
  return lambda step: UNIT_SCHEDULES[schedule](step / steps)


class PlateauState(NamedTuple):
  """The state of `scale_on_plateau`.

  Attributes:
    scale: the factor of the rate.
    best: the lowest mean loss of an interval.
    total: of the losses since the last interval ended.
    losses: their number.
  """

  scale: Float[Array, ""]
  best: Float[Array, ""]
  total: Float[Array, ""]
  losses: Int[Array, ""]


def scale_on_plateau(every: Number, factor: Number) -> optax.GradientTransformationExtraArgs:
  """Multiplies the rate by `factor` after each interval whose loss has stalled.

  The loss is the mean training loss over an interval of `every` steps, and has stalled where it is
  not a ten-thousandth below the lowest one before. It is `optax.contrib.reduce_on_plateau` with a
  patience of one interval, whose settings may be traced.
  """

  def init(params: optax.Params) -> PlateauState:
    del params
    largest = jnp.finfo(jnp.float32).max  # infinity would be taken for divergence
    return PlateauState(jnp.float32(1), jnp.float32(largest), jnp.float32(0), jnp.int32(0))

  def update(
    updates: optax.Updates,
    state: PlateauState,
    params: optax.Params | None = None,
    *,
    value: Scalar | None = None,
    **others: Any,
  ) -> tuple[optax.Updates, PlateauState]:
    del params, others
    if value is None:
      raise UserError("schedule=plateau needs a loss, and this learner has none; choose another")
    total, losses = state.total + value.astype(jnp.float32), state.losses + 1
    is_over, mean = losses >= every, total / losses
    has_stalled = ~(mean < state.best - LEAST_GAIN * jnp.abs(state.best))
    scale = jnp.where(is_over & has_stalled, state.scale * factor, state.scale)
    best = jnp.where(is_over, jnp.minimum(state.best, mean), state.best)
    updates = jax.tree.map(lambda leaf: (scale * leaf).astype(leaf.dtype), updates)
    kept = jnp.where(is_over, 0, total), jnp.where(is_over, 0, losses)
    return updates, PlateauState(scale, best, *kept)

  return optax.GradientTransformationExtraArgs(init, update)
