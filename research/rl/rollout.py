"""One episode of a finished agent, to look at."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.learner import Config
from research.rl import evaluation
from research.rl.agent import Parts
from research.rl.dqn import AgentState


class Played(NamedTuple):
  """An episode of some steps.

  Attributes:
    pictures: before each step and after the last, [steps + 1, height, width, 3].
    values: of the actions before each step, [steps, action]; after the last nothing is chosen.
    rewards: [steps].
  """

  pictures: np.ndarray
  values: np.ndarray
  rewards: np.ndarray


def play(parts: Parts, config: Config, state: AgentState, *, most: int, episode: int = 0) -> Played:
  """The evaluation episode of that number, up to `most` steps."""
  number = jnp.array([episode])
  world, seen = _start(parts, config, number)
  pictures, values = [_draw(parts, config, world)], []
  rewards: list[float] = []
  is_over = False
  while not is_over and len(rewards) < most:
    time = jnp.int32(len(rewards) + 1)
    value, taken, seen = _move(parts, config, state.params, number, time, world, seen)
    world, is_over = taken.state, bool(taken.is_last[0])
    pictures.append(_draw(parts, config, world))
    values.append(value[0])
    rewards.append(float(taken.reward[0]))
  return Played(np.stack(pictures), np.stack(values), np.asarray(rewards))


# Compiled once for all episodes of an agent.
_start = functools.partial(jax.jit, static_argnums=0)(evaluation.start)
_move = functools.partial(jax.jit, static_argnums=0)(evaluation.move)


@functools.partial(jax.jit, static_argnums=0)
def _draw(parts: Parts, config: Config, world: Any) -> jax.Array:
  return jax.vmap(parts.environment(config).draw)(world)[0]
