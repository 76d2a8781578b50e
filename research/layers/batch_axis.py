"""Sums over a batch that is spread over devices.

Under `jit` with `NamedSharding` a step sees the whole batch and needs nothing from here. Under
`pmap` each device runs the step on its own part, and the mapped axis is called `BATCH_AXIS`. The
functions below answer for the whole batch in both cases, so that a layer is written once.
"""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

BATCH_AXIS = "batch"

Tree = TypeVar("Tree")


def batch_sum(tree: Tree) -> Tree:
  """Sums per-device partial sums over all devices; outside of `pmap` there is nothing to add."""
  try:
    return jax.lax.psum(tree, BATCH_AXIS)
  except NameError:  # jax's word for "no axis of that name here"
    return tree


def batch_gather(tree: Tree) -> Tree:
  """Puts the parts of all devices together; outside of `pmap` the whole batch is here."""
  try:
    return jax.lax.all_gather(tree, BATCH_AXIS, tiled=True)
  except NameError:
    return tree


def batch_positions(size: int) -> Int[Array, " {size}"]:
  """Positions in the whole batch of the `size` examples that this program sees."""
  positions = jnp.arange(size)
  try:
    return positions + size * jax.lax.axis_index(BATCH_AXIS)
  except NameError:
    return positions


def batch_keys(
  key: Key[Array, ""], size: int, positions: Int[Array, " size"] | None = None
) -> Key[Array, " {size}"]:
  """A key for each of the `size` examples that this program sees.

  It depends on the example's position in the whole batch only: sharding or padding the batch does
  not change what is drawn with it. The positions are given where they are not `batch_positions`.
  """
  positions = batch_positions(size) if positions is None else positions
  return jax.vmap(functools.partial(jax.random.fold_in, key))(positions)
