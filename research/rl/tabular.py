"""Tabular Q-learning (Watkins and Dayan 1992), for worlds whose states are numbered."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch
from research.learner import Config, Learner, Metrics
from research.metrics import Mean, batch_means
from research.rl import grid_world, value_learning
from research.rl.agent import epsilon_greedy
from research.rl.environment import Environment, Episode, advance, begin


class TableState(NamedTuple):
  """The table [cell, action], how often each entry was visited, and the agents' environments."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  q: Float[Array, "cell action"]
  visits: Float[Array, "cell action"]
  episodes: Episode


def tabular_q_learning(
  world: Callable[[Config], grid_world.World], environment: Callable[[Config], Environment]
) -> Learner:
  """Makes the learner of one table by `config.num_envs` agents side by side.

  A step is one epsilon-greedy action of each agent (`config.epsilon`), discounted by
  `config.discount`; it takes empty batches. The learning rate of an entry that was visited n times
  is 1 / (1 + (1 - discount) n) (Wainwright 2019, "Stochastic approximation with cone-contractive
  operators", corollary 3). Evaluation gives the distance of the greedy values from {"value"} over
  the cells of {"cell"}.
  """
  return Learner(
    functools.partial(_init, world, environment), functools.partial(_step, environment), _evaluate
  )


def _init(
  world: Callable[[Config], grid_world.World],
  environment: Callable[[Config], Environment],
  config: Config,
  key: Key[Array, ""],
) -> TableState:
  run_key, episodes_key = jax.random.split(key)
  keys = jax.random.split(episodes_key, config.num_envs)
  episodes = jax.vmap(functools.partial(begin, environment(config)))(keys)
  table = jnp.zeros(world(config).chance.shape[:2])
  return TableState(jnp.int32(0), run_key, table, table.copy(), episodes)


def _step(
  environment: Callable[[Config], Environment], config: Config, state: TableState, batch: Batch
) -> tuple[TableState, Metrics]:
  del batch  # the agents make their own experience
  explore_key, env_key = jax.random.split(jax.random.fold_in(state.key, state.step))
  s_tm1 = state.episodes.observation
  a_tm1 = epsilon_greedy(state.q[s_tm1], config.epsilon, explore_key)
  keys = jax.random.split(env_key, config.num_envs)
  move = functools.partial(advance, environment(config))
  episodes, outcome = jax.vmap(move)(keys, state.episodes, a_tm1)
  # After a truncation nothing was done. Where an episode ended, discount 0 hides the next one.
  counts = (~state.episodes.is_truncated).astype(state.q.dtype)
  td_error = counts * jax.vmap(value_learning.q_learning)(
    state.q[s_tm1],
    a_tm1,
    outcome.reward,
    config.discount * outcome.discount,
    state.q[episodes.observation],
  )
  # Agents that meet in one entry make one step of their mean error: k full ones would overshoot.
  at_once = jnp.zeros_like(state.q).at[s_tm1, a_tm1].add(counts)
  total = jnp.zeros_like(state.q).at[s_tm1, a_tm1].add(td_error)
  visits = state.visits + at_once
  rate = 1 / (1 + (1 - config.discount) * visits)
  q = state.q + rate * total / jnp.maximum(at_once, 1)
  state = TableState(state.step + 1, state.key, q, visits, episodes)
  return state, {"loss": jnp.mean(td_error**2) / 2}


def _evaluate(config: Config, state: TableState, batch: Batch) -> dict[str, Mean]:
  values = state.q.max(axis=1)[batch["cell"]]
  return batch_means({"distance": jnp.abs(values - batch["value"])}, batch)


def learn_by_episodes(
  world: grid_world.World,
  key: Key[Array, ""],
  *,
  episodes: int,
  max_episode_steps: int,
  epsilon: float,
  learning_rate: float,
  discount: float,
) -> Float[Array, "cell action"]:
  """Returns the table of one agent after some episodes in a world without slips.

  Sutton and Barto 2018, section 6.5, with a constant learning rate.
  """
  after, is_end = jnp.asarray(world.chance.argmax(-1)), jnp.asarray(world.is_end)
  reward = jnp.asarray(world.reward)

  def move(walk: tuple) -> tuple:
    key, cell, time, q = walk
    key, explore_key = jax.random.split(key)
    action = epsilon_greedy(q[cell][None], epsilon, explore_key)[0]
    to = after[cell, action]
    td_error = reward[to] + discount * q[to].max() - q[cell, action]
    return key, to, time + 1, q.at[cell, action].add(learning_rate * td_error)

  def episode(_: Array, learner: tuple) -> tuple:
    key, q = learner
    walk = (key, jnp.asarray(world.start), jnp.int32(0), q)
    is_on = lambda walk: ~is_end[walk[1]] & (walk[2] < max_episode_steps)
    key, _, _, q = jax.lax.while_loop(is_on, move, walk)
    return key, q

  return jax.lax.fori_loop(0, episodes, episode, (key, jnp.zeros(after.shape)))[1]
