"""A batch, or a whole data set: arrays by name, with the examples along the first axis."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Batch = dict[str, Array]


def take(data: Batch, indices: Int[Array, " batch"]) -> Batch:
  """Rows of every array of a data set."""
  return {name: jnp.take(array, indices, axis=0) for name, array in data.items()}


def count(data: Mapping[str, Any]) -> int:
  """Number of examples in a data set."""
  return len(next(iter(data.values())))


def row_bytes(data: Mapping[str, Any]) -> int:
  """Bytes of one example."""
  return sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in data.values())


def by_parts(function: Callable[[Any], Any], data: Any, size: int) -> Any:
  """Calls a function with one part of some data after the other; its results on the host.

  Args:
    function: of a tree of [part, ...]; gives another one.
    data: a tree of [examples, ...], not empty.
    size: of the parts; it bounds the memory.

  Returns:
    What the function gives for all examples, as a tree of [examples, ...].
  """
  examples = len(jax.tree.leaves(data)[0])
  part = lambda first: jax.tree.map(lambda leaf: leaf[first : first + size], data)
  results = [jax.tree.map(np.asarray, function(part(first))) for first in range(0, examples, size)]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)


def weights_of(batch: Batch) -> Float[Array, " batch"]:
  """Returns the weight of each example, by the batch's "weight" (0 for padding) or 1."""
  return batch.get("weight", jnp.ones(count(batch)))


def inputs_of(batch: Batch) -> Array:
  """The model's inputs: unsigned integers are intensities and become floats in [0, 1]."""
  image = batch["image"]
  is_intensity = jnp.issubdtype(image.dtype, jnp.unsignedinteger)
  return image.astype(float) / jnp.iinfo(image.dtype).max if is_intensity else image


def pair_inputs(batch: Batch) -> tuple[Int[Array, "batch source"], Int[Array, "batch target"]]:
  """A pair of sequences as a model learns from it: the source, and the target but for its end."""
  return batch["source"], batch["target"][:, :-1]


def text_inputs(batch: Batch) -> Int[Array, "batch target"]:
  """A segment of text as a language model reads it: all tokens but the last."""
  return batch["target"][:, :-1]
