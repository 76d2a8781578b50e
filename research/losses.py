"""Losses: pure functions of a network's outputs and the batch, one value per example."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from research.batch import Batch
from research.errors import UserError
from research.metrics import Mean

Smoothing = float | Float[Array, ""] | None


def softmax_cross_entropy(
  logits: Float[Array, "batch classes"], batch: Batch, smoothing: Smoothing = None
) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of the integer `batch["label"]` under softmax(logits).

  With label smoothing (Szegedy et al. 2016, section 7) this share of the target is for all classes
  alike.
  """
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
  return _smoothed(losses, logits, smoothing)


def squared_error(outputs: Float[Array, "batch features"], batch: Batch) -> Float[Array, " batch"]:
  """Half the squared distance to `batch["target"]` (Bishop 2006, equation 5.11)."""
  return 0.5 * jnp.sum(jnp.square(outputs - batch["target"]), axis=-1)


def token_cross_entropy(
  logits: Float[Array, "batch places vocabulary"], batch: Batch, smoothing: Smoothing = None
) -> Mean:
  """Negative log-likelihood in nats of the tokens `batch["target"]` [batch, places + 1].

  The logits at a place are of the token behind it. Padding, token 0, counts for nothing, and an
  example counts by its tokens, so that exp(loss) is the perplexity. Label smoothing is as in
  `softmax_cross_entropy`, over the vocabulary.
  """
  labels = batch["target"][:, 1:]
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  losses = _smoothed(losses, logits, smoothing)
  real = labels > 0
  return Mean(jnp.sum(jnp.where(real, losses, 0), axis=1), jnp.sum(real, axis=1, dtype=float))


def pixel_cross_entropy(logits: Float[Array, "batch height width classes"], batch: Batch) -> Mean:
  """Negative log-likelihood in nats of each pixel's class, `batch["mask"]` [batch, height, width].

  Where the batch has "mask_weights" [batch, classes], a pixel counts by the weight of its class.
  """
  is_class = jax.nn.one_hot(batch["mask"], logits.shape[-1])
  # Sums in place of indices: a gradient that scatters is slow on a CPU.
  losses = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(is_class * logits, axis=-1)
  by_class = batch.get("mask_weights", jnp.ones((len(logits), logits.shape[-1])))
  weights = jnp.einsum("bhwc,bc->bhw", is_class, by_class)
  return Mean(jnp.sum(weights * losses, axis=(1, 2)), jnp.sum(weights, axis=(1, 2)))


def with_label_smoothing(loss: Callable[..., Any], smoothing: Smoothing) -> Callable[..., Any]:
  """A softmax loss with label smoothing, for training alone; the loss itself where it is None.

  Raises:
    UserError: where the loss is another.
  """
  if smoothing is None:
    return loss
  if getattr(loss, "func", loss) not in (softmax_cross_entropy, token_cross_entropy):
    raise UserError("optimizer.label_smoothing: the loss is no softmax of labels; leave it out")
  return functools.partial(loss, smoothing=smoothing)


def weighted_loss(
  losses: Float[Array, " batch"] | Mean, weight: Float[Array, " batch"]
) -> Float[Array, " batch"] | Mean:
  """Losses of examples that weigh differently; their mean is still over all examples alike."""
  if isinstance(losses, Mean):
    return losses._replace(total=weight * losses.total)
  return weight * losses


def _smoothed(
  losses: Float[Array, "*places"], logits: Float[Array, "*places classes"], smoothing: Smoothing
) -> Float[Array, "*places"]:
  if smoothing is None:
    return losses
  of_all = -jnp.mean(jax.nn.log_softmax(logits), axis=-1)
  return (1 - smoothing) * losses + smoothing * of_all
