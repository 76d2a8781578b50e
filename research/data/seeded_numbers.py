"""Many whole numbers of different ranges from one key."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key


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
