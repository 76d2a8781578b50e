# ruff: noqa: E402 - the environment must be set before JAX starts
"""The DQN agent as purejaxrl has it: gymnax's environments and Flashbax's memory in one scan.

Run by `dqn.py`; a step is one of the ten environments, ten of them are followed by an update.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from child import serve

from research.lab import process

process.prepare_jax(collectives=False)  # before JAX is imported

import flashbax
import gymnax
import jax
import jax.numpy as jnp
import optax
from flax import linen

ENVIRONMENTS, CAPACITY, BATCH, COPY_EVERY = 10, 10_000, 128, 50
LEARNING_RATE, DISCOUNT, EPSILON = 2.5e-4, 0.99, 0.05
UPDATES = 500  # of one dispatch


class Network(linen.Module):
  @linen.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for width in (120, 84):
      x = linen.relu(linen.Dense(width)(x))
    return linen.Dense(2)(x)


def main() -> None:
  turn_seconds = float(sys.argv[1])
  game, rules = gymnax.make("CartPole-v1")
  net, optimizer = Network(), optax.adam(LEARNING_RATE)
  memory = flashbax.make_flat_buffer(
    max_length=CAPACITY,
    min_length=BATCH,
    sample_batch_size=BATCH,
    add_sequences=False,
    add_batch_size=ENVIRONMENTS,
  )
  step_all = jax.vmap(game.step, in_axes=(0, 0, 0, None))

  def update(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
    params, target, opt_state, kept, worlds, seen, count = carry
    explore_key, action_key, world_key, sample_key = jax.random.split(key, 4)
    greedy = net.apply(params, seen).argmax(axis=-1)
    any_action = jax.random.randint(action_key, (ENVIRONMENTS,), 0, 2)
    is_random = jax.random.uniform(explore_key, (ENVIRONMENTS,)) < EPSILON
    action = jnp.where(is_random, any_action, greedy)
    keys = jax.random.split(world_key, ENVIRONMENTS)
    following, worlds, reward, terminated, *_ = step_all(keys, worlds, action, rules)
    moment = {"seen": seen, "action": action, "reward": reward, "ended": terminated}
    kept = memory.add(kept, moment)

    def learn(params: Any, opt_state: Any) -> tuple[Any, Any, jax.Array]:
      pair = memory.sample(kept, sample_key).experience
      best = net.apply(target, pair.second["seen"]).max(axis=-1)
      goal = pair.first["reward"] + DISCOUNT * best * (1 - pair.first["ended"])

      def loss(params: Any) -> jax.Array:
        values = net.apply(params, pair.first["seen"])
        taken = jnp.take_along_axis(values, pair.first["action"][:, None], axis=1).squeeze(1)
        return jnp.mean((taken - goal) ** 2)

      value, gradient = jax.value_and_grad(loss)(params)
      change, opt_state = optimizer.update(gradient, opt_state)
      return optax.apply_updates(params, change), opt_state, value

    params, opt_state, value = jax.lax.cond(
      memory.can_sample(kept),
      learn,
      lambda params, opt_state: (params, opt_state, jnp.float32(0)),
      params,
      opt_state,
    )
    is_copied = count % COPY_EVERY == 0
    target = jax.tree.map(lambda new, old: jnp.where(is_copied, new, old), params, target)
    return (params, target, opt_state, kept, worlds, following, count + 1), value

  seen, worlds = jax.vmap(game.reset, in_axes=(0, None))(
    jax.random.split(jax.random.key(0), ENVIRONMENTS), rules
  )
  params = net.init(jax.random.key(1), seen)
  zero = jnp.int32(0)
  moment = {"seen": seen[0], "action": zero, "reward": jnp.float32(0), "ended": jnp.bool_(False)}
  carry = (params, params, optimizer.init(params), memory.init(moment), worlds, seen, zero)
  updates = jax.jit(lambda carry, key: jax.lax.scan(update, carry, jax.random.split(key, UPDATES)))
  made = 0

  def train() -> int:
    nonlocal carry, made
    carry, losses = updates(carry, jax.random.key(made))
    losses.block_until_ready()
    made += 1
    return UPDATES * ENVIRONMENTS

  train()
  serve({}, train, turn_seconds)


main()
