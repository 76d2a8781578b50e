"""How good an agent is: separate episodes, the same for all agents and at all times."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from research.batch import Batch
from research.layers.batch_axis import batch_sum
from research.learner import Config
from research.metrics import Mean
from research.rl import replay
from research.rl.agent import Parts, action_values, epsilon_greedy

EVALUATION_SEED = 2015  # of the evaluation episodes, whatever the run's own seed


def evaluation_episodes(count: int) -> dict[str, dict[str, np.ndarray]]:
  """Data for `Training.evaluate`: that many episodes, by number."""
  return {"test": {"episode": np.arange(count)}}


def evaluate(parts: Parts, config: Config, params: Any, batch: Batch) -> dict[str, Mean]:
  """Mean return and length of whole episodes, side by side, without the noise of noisy layers.

  Each has a key made of its number alone; an episode of weight 0 counts nothing.
  """
  agent, environment = parts.agent(config), parts.environment(config)
  number = batch["episode"]
  weight = batch.get("weight", jnp.ones(number.shape))
  fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
  keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(EVALUATION_SEED), number)
  world, frame = jax.vmap(environment.reset)(fold(keys, 0))
  black = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * agent.stack), frame.dtype)
  seen = jax.vmap(replay.push)(black, frame, jnp.ones(number.shape, bool))

  def moment(carry: tuple) -> tuple:
    time, world, seen, is_on, rewards, length = carry
    now = fold(keys, time)
    drawn = jax.vmap(jax.random.split)(now)
    values = action_values(parts, config, params, seen)
    epsilon = 0.0 if agent.noisy else agent.evaluation_epsilon
    one = lambda values, key: epsilon_greedy(values[None], epsilon, key)[0]
    action = jax.vmap(one)(values, drawn[:, 0])
    taken = jax.vmap(environment.step)(drawn[:, 1], world, action)
    rewards = rewards + jnp.where(is_on, taken.reward, 0)
    length = length + is_on
    seen = jax.vmap(replay.push)(seen, taken.observation, jnp.zeros(number.shape, bool))
    return time + 1, taken.state, seen, is_on & ~taken.is_last, rewards, length

  def goes_on(carry: tuple) -> Array:
    return jnp.any(carry[3]) & (carry[0] <= environment.longest)

  nothing = jnp.zeros(number.shape)
  start = (jnp.int32(1), world, seen, weight > 0, nothing, nothing)
  *_, rewards, length = jax.lax.while_loop(goes_on, moment, start)
  return batch_sum(
    {
      "return": Mean((weight * rewards).sum(), weight.sum()),
      "length": Mean((weight * length).sum(), weight.sum()),
    }
  )
