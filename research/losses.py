"""Losses: pure functions of a network's outputs and the batch, one value per example."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from research.batch import Batch
from research.metrics import Mean


def softmax_cross_entropy(
  logits: Float[Array, "batch classes"], batch: Batch
) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of the integer `batch["label"]` under softmax(logits)."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])


def squared_error(outputs: Float[Array, "batch features"], batch: Batch) -> Float[Array, " batch"]:
  """Half the squared distance to `batch["target"]` (Bishop 2006, equation 5.11)."""
  return 0.5 * jnp.sum(jnp.square(outputs - batch["target"]), axis=-1)


def token_cross_entropy(
  logits: Float[Array, "batch places vocabulary"], batch: Batch, smoothing: float = 0.0
) -> Mean:
  """Negative log-likelihood in nats of the tokens `batch["target"]` [batch, places + 1].

  The logits at a place are of the token behind it. Padding, token 0, counts for nothing, and an
  example counts by its tokens, so that exp(loss) is the perplexity. With label smoothing (Szegedy
  et al. 2016, section 7) this share of the wish is for all tokens of the vocabulary alike.
  """
  labels = batch["target"][:, 1:]
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  if smoothing:
    of_all = -jnp.mean(jax.nn.log_softmax(logits), axis=-1)
    losses = (1 - smoothing) * losses + smoothing * of_all
  real = labels > 0
  return Mean(jnp.sum(jnp.where(real, losses, 0), axis=1), jnp.sum(real, axis=1, dtype=float))
