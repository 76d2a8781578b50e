"""Length buckets: a batch of sequences costs what its longest one needs, in a few sizes.

Data is padded to one length, since a program's shapes are fixed. Batches of about equal lengths
(`sampling.in_blocks` of data sorted by length) are cut to the first of a few lengths into which
they fit; a branch for each is compiled, and one runs. What is cut off is padding, so nothing else
changes.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from research.batch import Batch
from research.layers.batch_axis import batch_sum
from research.learner import Config, Learner

Lengths = Mapping[str, int]  # field of the batch -> places that are kept


def bucketed(learner: Learner, buckets: Sequence[Lengths]) -> Learner:
  """The learner on batches cut to the first of these lengths, ascending, that holds them.

  What fits into none stays as it is.
  """
  step = functools.partial(_choose, buckets, learner.step)
  evaluate = functools.partial(_choose, buckets, learner.evaluate)
  return learner._replace(step=step, evaluate=evaluate)


def bucket_of(buckets: Sequence[Lengths], batch: Batch) -> Int[Array, ""]:
  """Number of the first bucket that the whole batch fits into; as many as there are if none."""
  rest = [
    sum(jnp.count_nonzero(batch[name][:, length:]) for name, length in lengths.items())
    for lengths in buckets
  ]
  # Under pmap every device must take the same branch: all sum in it.
  return jnp.sum(batch_sum(jnp.stack(rest)) > 0) if rest else jnp.int32(0)


def _choose(
  buckets: Sequence[Lengths],
  function: Callable[[Config, Any, Batch], Any],
  config: Config,
  state: Any,
  batch: Batch,
) -> Any:
  def cut(lengths: Lengths) -> Callable[[Any, Batch], Any]:
    return lambda state, batch: function(
      config, state, batch | {name: batch[name][:, :length] for name, length in lengths.items()}
    )

  branches = [cut(lengths) for lengths in (*buckets, {})]
  return jax.lax.switch(bucket_of(buckets, batch), branches, state, batch)
