"""Exponential moving averages of the weights, evaluated in place of the weights themselves.

The average is `params` of the learner's state, so that evaluation, prediction, export and every
figure read it; the weights that the optimizer moves are `raw`. Batch statistics are those that the
raw weights saw. Both are in the checkpoint.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch
from research.learner import Config, Learner, Metrics, State
from research.optimizers import optimizer_in

Scalar = float | Float[Array, ""]


def averaged(learner: Learner) -> Learner:
  """The learner evaluated at the average of its weights, where `config.optimizer.ema` is on.

  The average of the weights after t updates is debiased, the sum over i of d^(t-i) w_i divided by
  the sum of the factors (Kingma and Ba 2015, section 3; `optax.ema`): the first weights, which
  nothing has trained, count for nothing.

  Args:
    learner: its state has the fields `step`, `params` and `raw`; `raw` is None where this is off.
  """
  return learner._replace(
    init=functools.partial(_init, learner), step=functools.partial(_step, learner)
  )


def _init(learner: Learner, config: Config, key: Key[Array, ""]) -> State:
  state = learner.init(config, key)
  if optimizer_in(config).ema is None:
    return state
  return state._replace(raw=jax.tree.map(jnp.copy, state.params))


def _step(learner: Learner, config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
  decay = optimizer_in(config).ema
  if decay is None:
    return learner.step(config, state, batch)
  average = state.params
  state, metrics = learner.step(config, state._replace(params=state.raw, raw=None), batch)
  return state._replace(
    params=following(average, state.params, decay, state.step), raw=state.params
  ), metrics


def following(average: Any, weights: Any, decay: Scalar, step: Int[Array, ""]) -> Any:
  """The debiased average with the weights after one more update; `step` counts this one too."""
  share = (1 - decay) / (1 - jnp.power(decay, step))
  follow = lambda mean, new: mean + (share * (new - mean)).astype(mean.dtype)
  return jax.tree.map(follow, average, weights)
