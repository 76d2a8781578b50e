"""Evaluation of agents on separate episodes, the same ones for all agents and at all times."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, weights_of
from research.metrics import Mean, batch_means
from research.rl import replay
from research.rl.agent import BoundAgent, epsilon_greedy
from research.rl.environment import State, Transition
from research.training import Fit

EVALUATION_SEED = 2015  # of the evaluation episodes, whatever the run's own seed
SELECTION_SHARE = 4  # a fourth as many episodes choose checkpoints and settings


def evaluation_episodes(count: int) -> dict[str, dict[str, np.ndarray]]:
  """Data for `Training.evaluate`: `count` test episodes by number, and others for validation."""
  validation = count + np.arange(-(-count // SELECTION_SHARE))
  return {"test": {"episode": np.arange(count)}, "validation": {"episode": validation}}


def mean_returns(fits: Mapping[str, Sequence[Fit]]) -> dict[str, Float[np.ndarray, " seed"]]:
  """The mean return over all evaluations of a run, by name and seed."""
  mean = lambda fit: np.mean(fit.values("test/return"))
  return {name: np.array([mean(fit) for fit in seeds]) for name, seeds in fits.items()}


def evaluate(agent: BoundAgent, params: Any, batch: Batch) -> dict[str, Mean]:
  """Mean return and length of whole episodes, played side by side, without noise in the weights.

  The key of an episode is a function of its number alone; an episode of weight 0 does not count.
  """
  number = batch["episode"]
  weight = weights_of(batch)
  state, obs = start(agent, number)

  def timestep(carry: tuple) -> tuple:
    time, state, obs, is_on, returns, length = carry
    _, taken, obs = move(agent, params, number, time, state, obs)
    returns = returns + jnp.where(is_on, taken.reward, 0)
    length = length + is_on
    return time + 1, taken.state, obs, is_on & ~taken.is_last, returns, length

  def is_running(carry: tuple) -> Array:
    return jnp.any(carry[3]) & (carry[0] <= agent.environment.max_evaluation_steps)

  zeros = jnp.zeros(number.shape)
  first = (jnp.int32(1), state, obs, weight > 0, zeros, zeros)
  *_, returns, length = jax.lax.while_loop(is_running, timestep, first)
  return batch_means({"return": returns, "length": length}, batch)


def start(agent: BoundAgent, number: Int[Array, " episode"]) -> tuple[State, Array]:
  """Returns the first states and observations of the episodes of these numbers."""
  state, frame = jax.vmap(agent.environment.reset)(_keys(number, 0))
  return state, replay.first_stack(frame, agent.settings.frame_stack)


def move(
  agent: BoundAgent,
  params: Any,
  number: Int[Array, " episode"],
  time: int | Int[Array, ""],
  state: State,
  obs: Array,
) -> tuple[Float[Array, "episode action"], Transition, Array]:
  """Makes step `time`, counted from 1, of each episode.

  Actions are epsilon-greedy with `evaluation_epsilon`, or greedy where the weights are noisy.

  Returns: the action values, the transitions, and the observations after them.
  """
  settings = agent.settings
  keys = jax.vmap(jax.random.split)(_keys(number, time))
  values = agent.action_values(params, obs)
  epsilon = 0.0 if settings.noisy else settings.evaluation_epsilon
  one = lambda values, key: epsilon_greedy(values[None], epsilon, key)[0]
  action = jax.vmap(one)(values, keys[:, 0])
  taken = jax.vmap(agent.environment.step)(keys[:, 1], state, action)
  obs = jax.vmap(replay.push)(obs, taken.observation, jnp.zeros(number.shape, bool))
  return values, taken, obs


def _keys(number: Int[Array, " episode"], time: int | Int[Array, ""]) -> Key[Array, " episode"]:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  keys = fold(jax.random.key(EVALUATION_SEED), number)
  return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, time)
