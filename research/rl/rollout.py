"""One episode of a trained agent, step by step, to look at."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.learner import Config
from research.rl import evaluation
from research.rl.agent import Agent
from research.rl.dqn import AgentState


class Played(NamedTuple):
  """The steps of an episode.

  Attributes:
    pictures: before each step and after the last, [steps + 1, height, width, 3].
    values: of the actions before each step, [steps, action].
    rewards: [steps].
  """

  pictures: np.ndarray
  values: np.ndarray
  rewards: np.ndarray

  def frames(self, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and values of `count` steps, evenly spread from the first to the last."""
    chosen = np.linspace(0, len(self.values) - 1, count).astype(int)
    return self.pictures[chosen], self.values[chosen]


def play(
  agent: Agent, config: Config, state: AgentState, *, max_steps: int, episode: int = 0
) -> Played:
  """Plays the evaluation episode of that number, up to `max_steps` steps."""
  number = jnp.array([episode])
  env_state, obs = _start(agent, config, number)
  pictures, values = [_draw(agent, config, env_state)], []
  rewards: list[float] = []
  is_over = False
  while not is_over and len(rewards) < max_steps:
    time = jnp.int32(len(rewards) + 1)
    value, taken, obs = _move(agent, config, state.params, number, time, env_state, obs)
    env_state, is_over = taken.state, bool(taken.is_last[0])
    pictures.append(_draw(agent, config, env_state))
    values.append(value[0])
    rewards.append(float(taken.reward[0]))
  return Played(np.stack(pictures), np.stack(values), np.asarray(rewards))


# Compiled once for all episodes of an agent.
@functools.partial(jax.jit, static_argnums=0)
def _start(agent: Agent, config: Config, *arguments: Any) -> Any:
  return evaluation.start(agent.at(config), *arguments)


@functools.partial(jax.jit, static_argnums=0)
def _move(agent: Agent, config: Config, *arguments: Any) -> Any:
  return evaluation.move(agent.at(config), *arguments)


@functools.partial(jax.jit, static_argnums=0)
def _draw(agent: Agent, config: Config, state: Any) -> jax.Array:
  return jax.vmap(agent.environment(config).draw)(state)[0]
