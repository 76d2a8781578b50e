"""Prioritised replay (Schaul et al. 2016): transitions with large TD errors are replayed more.

A sum tree stands beside the replay memory, with a leaf for every place in it. Places that cannot be
learnt from (overwritten, too new, or without a transition) have priority 0 and are never sampled.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from research.rl import sum_tree
from research.rl.replay import Indices, Memory, capacity

EPSILON = 1e-6  # added to every priority, so that none is 0 (Schaul et al. 2016, section 3.3)


class Priorities(NamedTuple):
  """The tree of priorities, their exponent already applied; and the largest ever given."""

  tree: sum_tree.SumTree
  max_priority: Float[Array, ""]


def empty(memory: Memory) -> Priorities:
  """Priorities of a memory that nothing was written to."""
  return Priorities(sum_tree.empty(memory.rows.action.size), jnp.float32(1))


def add(
  priorities: Priorities, memory: Memory, new: int, *, n_step: int, frame_stack: int
) -> Priorities:
  """Updates the tree after `new` rows were written.

  Transitions that they overwrite or leave without frames get priority 0; those that they complete
  get the largest so far, so that each is sampled at least once (algorithm 1, line 6).
  """
  ages = jnp.arange(new)
  num_envs = memory.rows.action.shape[1]
  # A row at the old end has lost the frames before it; one with n_step rows behind it is complete.
  # Overwritten rows that are complete already get no 0 first: of two values for one leaf in one
  # scatter an accelerator takes either.
  complete = max(0, new - n_step - (frame_stack - 1))
  out = memory.written - new + frame_stack - 1 + ages[complete:]
  into = memory.written - new - n_step + ages
  has_transition = (into >= 0)[:, None] & ~memory.rows.is_truncated[into % capacity(memory)]
  rows = jnp.concatenate([out, into]) % capacity(memory)
  leaves = rows[:, None] * num_envs + jnp.arange(num_envs)[None]
  values = jnp.concatenate(
    [jnp.zeros((len(out), num_envs)), jnp.where(has_transition, priorities.max_priority, 0)]
  )
  return priorities._replace(
    tree=sum_tree.update(priorities.tree, leaves.reshape(-1), values.reshape(-1))
  )


def sample(priorities: Priorities, memory: Memory, key: Key[Array, ""], size: int) -> Indices:
  """Samples in proportion to priority, one from each of `size` equal ranges (appendix B.2.1)."""
  within = jax.random.uniform(key, (size,))
  points = (jnp.arange(size) + within) / size * sum_tree.total(priorities.tree)
  leaves = sum_tree.find(priorities.tree, points)
  num_envs = memory.rows.action.shape[1]
  newest = memory.written - 1
  row = newest - (newest - leaves // num_envs) % capacity(memory)
  return Indices(row, leaves % num_envs)


def importance_weights(
  priorities: Priorities, memory: Memory, indices: Indices, exponent: float | Float[Array, ""]
) -> Float[Array, " batch"]:
  """Weights that correct the bias of the sampling; the largest is 1 (section 3.4)."""
  drawn = sum_tree.priorities(priorities.tree, leaves_of(memory, indices))
  smallest = jnp.min(jnp.where(drawn > 0, drawn, jnp.inf))
  return jnp.where(drawn > 0, (smallest / jnp.where(drawn > 0, drawn, 1)) ** exponent, 0)


def update(
  priorities: Priorities,
  memory: Memory,
  indices: Indices,
  priority: Float[Array, " batch"],
  exponent: float | Float[Array, ""],
  is_learnt: Bool[Array, ""],
) -> Priorities:
  """Sets the priorities of the sampled transitions, where an update was made.

  `priority` is the absolute TD error, or what the head has in its place. Of a transition that was
  sampled twice the last counts; the two differ by rounding at most.
  """
  leaves = leaves_of(memory, indices)
  old = sum_tree.priorities(priorities.tree, leaves)
  # The condition is applied here, to a few numbers: choosing between two trees would copy one.
  new = jnp.where(is_learnt & (old > 0), (priority + EPSILON) ** exponent, old)
  is_same = leaves[:, None] == leaves[None]
  last = len(leaves) - 1 - jnp.argmax(is_same[:, ::-1], axis=1)
  tree = sum_tree.update(priorities.tree, leaves, new[last])
  return Priorities(tree, jnp.maximum(priorities.max_priority, new.max()))


def leaves_of(memory: Memory, indices: Indices) -> Array:
  """The leaf of each index."""
  return indices.row % capacity(memory) * memory.rows.action.shape[1] + indices.env
