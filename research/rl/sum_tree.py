"""A sum tree: samples in proportion to priorities that change.

Schaul et al. 2016, appendix B.2.1, with 32 children per node instead of two: four levels hold a
million priorities, so that an update or a draw is four small array operations for a whole batch.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

CHILDREN = 32
SumTree = tuple[Float[Array, "..."], ...]  # from the root's children down to the leaves


def empty(leaves: int) -> SumTree:
  """A tree for that many priorities, all 0."""
  nodes = [math.ceil(leaves / CHILDREN)]
  while nodes[0] > 1:
    nodes.insert(0, math.ceil(nodes[0] / CHILDREN))
  return tuple(jnp.zeros((count, CHILDREN)) for count in nodes)


def total(tree: SumTree) -> Float[Array, ""]:
  """The sum of all priorities."""
  return tree[0].sum()


def priorities(tree: SumTree, leaves: Int[Array, " batch"]) -> Float[Array, " batch"]:
  """The priorities of some leaves."""
  return tree[-1][leaves // CHILDREN, leaves % CHILDREN]


def update(tree: SumTree, leaves: Int[Array, " batch"], values: Float[Array, " batch"]) -> SumTree:
  """Sets priorities; sums are recomputed from the children, so rounding errors do not accumulate.

  A leaf that occurs twice must have the same value both times: which of two values an accelerator
  takes is undefined.
  """
  levels = list(tree)
  for level in reversed(range(len(levels))):
    nodes = leaves // CHILDREN
    levels[level] = levels[level].at[nodes, leaves % CHILDREN].set(values)
    leaves, values = nodes, levels[level][nodes].sum(axis=1)
  return tuple(levels)


def find(tree: SumTree, points: Float[Array, " batch"]) -> Int[Array, " batch"]:
  """Finds the leaf whose interval of [0, total) holds each point.

  Intervals are as long as the priorities, so that uniform points draw leaves in proportion to them,
  and never one of priority 0 unless all are.
  """
  node = jnp.zeros(points.shape, int)
  for level in tree:
    ends = jnp.cumsum(level[node], axis=1)
    # Rounding may leave a point beyond its node's last interval: the last one takes it.
    last = jnp.argmax(ends, axis=1)
    child = jnp.minimum(jnp.sum(ends <= points[:, None], axis=1), last)
    before = jnp.take_along_axis(ends, jnp.maximum(child - 1, 0)[:, None], axis=1)[:, 0]
    points = points - jnp.where(child > 0, before, 0)
    node = node * CHILDREN + child
  return node
