"""Prioritised replay (Schaul et al. 2016): what surprised most is replayed most.

A sum tree stands beside the replay memory, a leaf for every place in it. Places that nothing can
be learnt from (overwritten, too new, or without a transition) have priority 0 and are never drawn.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from research.rl import sum_tree
from research.rl.replay import Memory, Places, capacity

SMALLEST = 1e-6  # keeps what no longer surprises from never being seen again


class Priorities(NamedTuple):
  """The tree, with priorities as they are drawn by; and the largest ever given."""

  tree: sum_tree.SumTree
  highest: Float[Array, ""]


def empty(memory: Memory) -> Priorities:
  """For a memory that nothing was written to."""
  return Priorities(sum_tree.empty(memory.rows.action.size), jnp.float32(1))


def admit(
  priorities: Priorities, memory: Memory, new: int, *, n_step: int, stack: int
) -> Priorities:
  """After `new` rows were written: they push some places out, and let others in, at the highest
  priority so far, so that all is seen at least once (algorithm 1, line 6)."""
  ages = jnp.arange(new)
  environments = memory.rows.action.shape[1]
  # A row at the old end has lost the frames before it; one with n_step rows behind it is complete.
  # Overwritten rows that are complete already go straight in: of two values for one place in one
  # scatter an accelerator takes either.
  complete = max(0, new - n_step - (stack - 1))
  out = memory.written - new + stack - 1 + ages[complete:]
  into = memory.written - new - n_step + ages
  has_transition = (into >= 0)[:, None] & ~memory.rows.is_cut[into % capacity(memory)]
  rows = jnp.concatenate([out, into]) % capacity(memory)
  leaves = rows[:, None] * environments + jnp.arange(environments)[None]
  values = jnp.concatenate(
    [jnp.zeros((len(out), environments)), jnp.where(has_transition, priorities.highest, 0)]
  )
  return priorities._replace(
    tree=sum_tree.update(priorities.tree, leaves.reshape(-1), values.reshape(-1))
  )


def draw(priorities: Priorities, memory: Memory, key: Key[Array, ""], size: int) -> Places:
  """Places in proportion to priority, one from each of `size` equal stretches (section B.2.1)."""
  within = jax.random.uniform(key, (size,))
  points = (jnp.arange(size) + within) / size * sum_tree.total(priorities.tree)
  leaves = sum_tree.find(priorities.tree, points)
  environments = memory.rows.action.shape[1]
  newest = memory.written - 1
  row = newest - (newest - leaves // environments) % capacity(memory)
  return Places(row, leaves % environments)


def importance(
  priorities: Priorities, memory: Memory, places: Places, exponent: float | Float[Array, ""]
) -> Float[Array, " batch"]:
  """Importance weights that undo the bias of the draw; the largest is 1 (section 3.4)."""
  drawn = sum_tree.priorities(priorities.tree, leaves_of(memory, places))
  smallest = jnp.min(jnp.where(drawn > 0, drawn, jnp.inf))
  return jnp.where(drawn > 0, (smallest / jnp.where(drawn > 0, drawn, 1)) ** exponent, 0)


def revise(
  priorities: Priorities,
  memory: Memory,
  places: Places,
  surprise: Float[Array, " batch"],
  exponent: float | Float[Array, ""],
  is_learnt: Bool[Array, ""],
) -> Priorities:
  """Sets the priorities of what was just learnt from, if it was; of a place drawn twice, the last.

  The two surprises differ by rounding at most.
  """
  leaves = leaves_of(memory, places)
  old = sum_tree.priorities(priorities.tree, leaves)
  # The choice is made here, among a few numbers: between two trees it would copy all of one.
  new = jnp.where(is_learnt & (old > 0), (surprise + SMALLEST) ** exponent, old)
  is_same = leaves[:, None] == leaves[None]
  last = len(leaves) - 1 - jnp.argmax(is_same[:, ::-1], axis=1)
  tree = sum_tree.update(priorities.tree, leaves, new[last])
  return Priorities(tree, jnp.maximum(priorities.highest, new.max()))


def leaves_of(memory: Memory, places: Places) -> Array:
  """The leaf of each place."""
  return places.row % capacity(memory) * memory.rows.action.shape[1] + places.environment
