"""A batch in parts, one after the other: the large batch's gradient in a part's memory.

With k parts, example i is in part i mod k, so that devices which share a batch share each part.
Losses and gradients are summed and divided once, by the weight of the whole batch. What is drawn
for an example depends on its place in the whole batch (`Dropout`); batch normalisation sees one
part at a time, and its running statistics move k times.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from research.errors import UserError
from research.layers.batch_axis import batch_positions
from research.layers.dropout import Dropout

Positions = Int[Array, " part"]


def accumulated(
  function: Callable[[Any, Any, Positions], tuple[Any, Any, Any]],
  carry: Any,
  batch: Any,
  count: int,
) -> tuple[Any, Any, Any]:
  """Calls a function with one part of a batch after the other.

  Args:
    function: of what it gave before, a part of the batch and the positions of the part's examples
      in the whole batch; gives what goes on, a tree to be added up, and a tree of [part, ...].
    carry: what the first part is given.
    batch: a tree of [batch, ...].
    count: of the parts.

  Returns:
    What goes on after the last part; the sums; the trees of [part, ...] as one of [batch, ...].

  Raises:
    UserError: where the batch does not divide.
  """
  size = len(jax.tree.leaves(batch)[0])
  check(count, size)
  split = lambda leaf: leaf.reshape(size // count, count, *leaf.shape[1:]).swapaxes(0, 1)
  parts = jax.tree.map(split, (batch, batch_positions(size)))
  first = jax.tree.map(lambda leaf: leaf[0], parts)
  zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(function, carry, *first)[1])

  def one(before: tuple[Any, Any], part: tuple[Any, Positions]) -> tuple[tuple[Any, Any], Any]:
    carry, sums, each = function(before[0], *part)
    return (carry, jax.tree.map(jnp.add, before[1], sums)), each

  (carry, sums), each = jax.lax.scan(one, (carry, zeros), parts)
  join = lambda leaf: leaf.swapaxes(0, 1).reshape(size, *leaf.shape[2:])
  return carry, sums, jax.tree.map(join, each)


def check(count: int, size: int) -> None:
  """Checks that a batch divides into parts.

  Raises:
    UserError: where it does not.
  """
  if size % count:
    raise UserError(
      f"optimizer.micro_batches={count} does not divide a batch of {size} examples; give a divisor"
    )


def placed(positions: Positions) -> AbstractContextManager[None]:
  """Inside, every `Dropout` draws for the examples of these positions in the whole batch."""
  return nn.intercept_methods(functools.partial(_place, positions))


def _place(positions: Positions, next_method: Any, args: Any, kwargs: Any, context: Any) -> Any:
  if isinstance(context.module, Dropout) and context.method_name == "__call__":
    x = args[0] if args else kwargs["x"]
    if len(x) == len(positions):  # not where examples stand along another axis
      kwargs = kwargs | {"positions": positions}
  return next_method(*args, **kwargs)
