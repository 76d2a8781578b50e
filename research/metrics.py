"""Metrics: pure functions like the losses, and means that add up over batches and devices."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.batch import Batch, weights_of
from research.layers.batch_axis import batch_sum
from research.set_metrics import Gathered


class Mean(NamedTuple):
  """A weighted mean in two parts, so that means of parts add to the mean of the whole.

  Where a loss or a metric gives one per example, both parts are [batch].
  """

  total: Float[Array, "*batch"]
  weight: Float[Array, "*batch"]


def local_means(values: Mapping[str, Array | Mean], batch: Batch) -> dict[str, Mean]:
  """Weighted means of per-example values or `Mean`s of [batch]; under `pmap`, of one device."""
  weight = weights_of(batch)

  def mean(value: Array | Mean) -> Mean:
    total, parts = value if isinstance(value, Mean) else (value, jnp.ones(weight.shape))
    return Mean(jnp.sum(weight * total), jnp.sum(weight * parts))

  return {name: mean(value) for name, value in values.items()}


def batch_means(values: Mapping[str, Array | Mean], batch: Batch) -> dict[str, Mean]:
  """`local_means` over the whole batch, however devices share it: what `evaluate` gives."""
  return batch_sum(local_means(values, batch))


def batch_shares(batch: Batch) -> Float[Array, " batch"]:
  """Each example's share in a mean over the whole batch, however devices share it."""
  weight = weights_of(batch)
  return weight / batch_sum(weight.sum())


def accuracy(logits: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
  """1.0 where the largest logit is the label's, else 0.0."""
  return (jnp.argmax(logits, axis=-1) == batch["label"]).astype(float)


def token_accuracy(logits: Float[Array, "batch places vocabulary"], batch: Batch) -> Mean:
  """Share of the tokens `batch["target"]` whose logit is the largest, padding left out."""
  labels = batch["target"][:, 1:]
  real = labels > 0
  right = (jnp.argmax(logits, axis=-1) == labels) & real
  return Mean(jnp.sum(right, axis=1, dtype=float), jnp.sum(real, axis=1, dtype=float))


def pixel_accuracy(
  logits: Float[Array, "batch height width classes"], batch: Batch
) -> Float[Array, " batch"]:
  """Share of the pixels whose largest logit is that of their class in `batch["mask"]`."""
  return jnp.mean(jnp.argmax(logits, axis=-1) == batch["mask"], axis=(1, 2), dtype=float)


def exact_match(
  logits: Float[Array, "batch places vocabulary"], batch: Batch
) -> Float[Array, " batch"]:
  """1.0 where every token of `batch["target"]` has the largest logit, given those before it.

  Greedy decoding then writes just that target: the logits behind right tokens are these.
  """
  right = token_accuracy(logits, batch)
  return (right.total == right.weight).astype(float)


def joined(parts: Mapping[str, Any]) -> dict[str, Any]:
  """Joins batches, along a new first axis: adds `Mean`s up, puts what is `Gathered` together."""
  return {
    name: part.joined()
    if isinstance(part, Gathered)
    else jax.tree.map(lambda leaf: leaf.sum(axis=0), part)
    for name, part in parts.items()
  }


def averages(found: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
  """Means, and metrics of whole sets, by split and metric as values by "split/metric"."""
  value = lambda part: part.value() if isinstance(part, Gathered) else _ratio(part)
  return {
    f"{split}/{metric}": value(part)
    for split, parts in found.items()
    for metric, part in parts.items()
  }


def _ratio(mean: Mean) -> np.ndarray:
  return np.asarray(np.asarray(mean.total, float) / np.asarray(mean.weight, float))
