"""One episode of a finished agent, to look at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.learner import Config
from research.rl import replay
from research.rl.agent import Parts, action_values
from research.rl.dqn import AgentState
from research.rl.evaluation import EVALUATION_SEED


class Played(NamedTuple):
  """An episode: pictures [time, height, width, 3], action values [time, action], rewards [time]."""

  pictures: np.ndarray
  values: np.ndarray
  rewards: np.ndarray


def play(parts: Parts, config: Config, state: AgentState, *, most: int, episode: int = 0) -> Played:
  """One evaluation episode, greedily, up to `most` steps."""
  environment, agent = parts.environment(config), parts.agent(config)
  key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), episode)

  @jax.jit
  def start() -> tuple:
    world, frame = environment.reset(key)
    black = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * agent.stack), frame.dtype)
    return world, replay.push(black, frame, jnp.bool_(True))

  @jax.jit
  def step(params: object, world: object, seen: jax.Array, time: jax.Array) -> tuple:
    values = action_values(parts, config, params, seen[None])[0]
    taken = environment.step(jax.random.fold_in(key, time), world, jnp.argmax(values))
    seen = replay.push(seen, taken.observation, jnp.bool_(False))
    return values, environment.draw(world), taken.reward, taken.is_last, taken.state, seen

  world, seen = start()
  pictures, values, rewards = [], [], []
  for time in range(1, most + 1):
    value, picture, reward, is_last, world, seen = step(state.params, world, seen, jnp.int32(time))
    pictures.append(np.asarray(picture))
    values.append(np.asarray(value))
    rewards.append(float(reward))
    if is_last:
      break
  return Played(np.stack(pictures), np.stack(values), np.asarray(rewards))
