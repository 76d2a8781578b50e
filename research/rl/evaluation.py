"""Evaluation of agents on separate episodes, the same for all agents and at all times."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, weights_of
from research.learner import Config
from research.metrics import Mean, batch_means
from research.rl import replay
from research.rl.agent import Parts, action_values, epsilon_greedy
from research.rl.environment import State, Transition

EVALUATION_SEED = 2015  # of the evaluation episodes, whatever the run's own seed


SELECTION_SHARE = 4  # as many episodes choose checkpoints and settings as a fourth of the test's


def evaluation_episodes(count: int) -> dict[str, dict[str, np.ndarray]]:
  """Data for `Training.evaluate`: that many test episodes by number, and others to choose by."""
  chosen_by = count + np.arange(-(-count // SELECTION_SHARE))
  return {"test": {"episode": np.arange(count)}, "validation": {"episode": chosen_by}}


def evaluate(parts: Parts, config: Config, params: Any, batch: Batch) -> dict[str, Mean]:
  """Mean return and length of whole episodes, side by side, without the noise of noisy layers.

  Each has a key made of its number alone; an episode of weight 0 counts nothing.
  """
  environment = parts.environment(config)
  number = batch["episode"]
  weight = weights_of(batch)
  world, seen = start(parts, config, number)

  def moment(carry: tuple) -> tuple:
    time, world, seen, is_on, rewards, length = carry
    _, taken, seen = move(parts, config, params, number, time, world, seen)
    rewards = rewards + jnp.where(is_on, taken.reward, 0)
    length = length + is_on
    return time + 1, taken.state, seen, is_on & ~taken.is_last, rewards, length

  def goes_on(carry: tuple) -> Array:
    return jnp.any(carry[3]) & (carry[0] <= environment.longest)

  nothing = jnp.zeros(number.shape)
  first = (jnp.int32(1), world, seen, weight > 0, nothing, nothing)
  *_, rewards, length = jax.lax.while_loop(goes_on, moment, first)
  return batch_means({"return": rewards, "length": length}, batch)


def start(parts: Parts, config: Config, number: Int[Array, " episode"]) -> tuple[State, Array]:
  """Returns the first states and observations of the episodes of these numbers."""
  world, frame = jax.vmap(parts.environment(config).reset)(_keys(number, 0))
  stack = parts.agent(config).stack
  black = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * stack), frame.dtype)
  return world, jax.vmap(replay.push)(black, frame, jnp.ones(number.shape, bool))


def move(
  parts: Parts,
  config: Config,
  params: Any,
  number: Int[Array, " episode"],
  time: int | Int[Array, ""],
  world: State,
  seen: Array,
) -> tuple[Float[Array, "episode action"], Transition, Array]:
  """Step `time`, from 1, of each: the values that it was chosen by, what it brought, what is seen.

  A few actions are random (`evaluation_epsilon`), but none where the weights are noisy.
  """
  agent, environment = parts.agent(config), parts.environment(config)
  drawn = jax.vmap(jax.random.split)(_keys(number, time))
  values = action_values(parts, config, params, seen)
  epsilon = 0.0 if agent.noisy else agent.evaluation_epsilon
  one = lambda values, key: epsilon_greedy(values[None], epsilon, key)[0]
  action = jax.vmap(one)(values, drawn[:, 0])
  taken = jax.vmap(environment.step)(drawn[:, 1], world, action)
  seen = jax.vmap(replay.push)(seen, taken.observation, jnp.zeros(number.shape, bool))
  return values, taken, seen


def _keys(number: Int[Array, " episode"], time: int | Int[Array, ""]) -> Key[Array, " episode"]:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  keys = fold(jax.random.key(EVALUATION_SEED), number)
  return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, time)
