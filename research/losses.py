"""Losses: pure functions of a network's outputs and the batch, one value per example."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from research.batch import Batch


def softmax_cross_entropy(
  logits: Float[Array, "batch classes"], batch: Batch
) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of the integer `batch["label"]` under softmax(logits)."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])


def squared_error(outputs: Float[Array, "batch features"], batch: Batch) -> Float[Array, " batch"]:
  """Half the squared distance to `batch["target"]` (Bishop 2006, equation 5.11)."""
  return 0.5 * jnp.sum(jnp.square(outputs - batch["target"]), axis=-1)
