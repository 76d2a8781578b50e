"""Many whole numbers of different ranges from one key, and what is made of numbered keys."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from research.errors import UserError

BLOCK = 256  # things made at once


class Range(NamedTuple):
  """Numbers from `low` up to, and without, `end`; both broadcast to the shape."""

  shape: tuple[int, ...]
  low: int | Int[Array, "..."]
  end: int | Int[Array, "..."]


def integers(key: Key[Array, ""], ranges: Any) -> Any:
  """Numbers of each range, uniform but for 2^-32 of the range's length.

  One call of the generator gives them all: each call takes JAX a third of a second to compile.

  Args:
    key: of the numbers.
    ranges: a tree of `Range`.

  Returns:
    The tree with arrays in their places.
  """
  leaves, structure = jax.tree.flatten(ranges, is_leaf=lambda node: isinstance(node, Range))
  sizes = [math.prod(each.shape) for each in leaves]
  bits = jax.random.bits(key, (sum(sizes),), jnp.uint32)
  numbers, first = [], 0
  for (shape, low, end), size in zip(leaves, sizes, strict=True):
    spread = lambda bound, shape=shape: jnp.broadcast_to(bound, shape)
    below = bits[first : first + size].reshape(shape) % spread(end - low).astype(jnp.uint32)
    numbers.append(spread(low) + below.astype(int))
    first += size
  return jax.tree.unflatten(structure, numbers)


def in_blocks(make: Callable[[Int[Array, " block"]], Any], count: int, first: int = 0) -> Any:
  """Makes the things numbered from `first` on, a block at once, on the host.

  Args:
    make: of the numbers of one block, always as many; gives a tree of [block, ...].
    count: how many.
    first: number.

  Raises:
    UserError: where none is asked for.
  """
  if count < 1:
    raise UserError("no scenes: give a count of at least 1")
  parts = [
    jax.tree.map(np.asarray, make(jnp.arange(start, start + BLOCK)))
    for start in range(first, first + count, BLOCK)
  ]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
