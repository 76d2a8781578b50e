"""Metrics: pure functions like the losses, and means that add up over batches and devices."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from research.batch import Batch


class Mean(NamedTuple):
  """A weighted mean in two parts, so that means of parts add to the mean of the whole.

  Where a loss or a metric gives one per example, both parts are [batch].
  """

  total: Float[Array, "*batch"]
  weight: Float[Array, "*batch"]


def accuracy(logits: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
  """1.0 where the largest logit is the label's, else 0.0."""
  return (jnp.argmax(logits, axis=-1) == batch["label"]).astype(float)
