"""Filters of local fields with weights of their own at every location, and what Le et al. add.

Le et al. 2012, "Building high-level features using large scale unsupervised learning": a stage of
their network filters, pools by the root of a sum of squares, and normalises local contrast. Arrays
have the batch last, [row, column, map, batch], since all of a location's examples meet the same
weights: filtering is one product for each location, and the gradient of its weights another, over
the batch. Fields are centred, with zeros beyond the image. All of it works likewise where rows are
spread over devices (`research/layers/location_axis.py`): weights stay where their location is.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.layers.location_axis import with_borders

Maps = Float[Array, "row column map batch"]
Windows = Float[Array, "location_row location_column weight batch"]
Weights = Float[Array, "location_row location_column filter weight"]


def windows(x: Maps, field: int, stride: int) -> Windows:
  """The `field` x `field` windows of all maps that stand `stride` apart, flattened.

  Raises ValueError where the stride divides not both the field and the sides.
  """
  if field % stride or x.shape[0] % stride or x.shape[1] % stride:
    raise ValueError(f"a stride of {stride} divides not all of {field}, {x.shape[:2]}")
  above = (field - stride) // 2
  below = field - stride - above
  rows = _split(with_borders(x, above, below), field, stride)  # [row, in field, column, ...]
  padded = jnp.pad(rows, [(0, 0), (0, 0), (above, below), (0, 0), (0, 0)])
  both = _split(padded.transpose(2, 0, 1, 3, 4), field, stride)  # [column, in field, row, ...]
  found = both.transpose(2, 0, 3, 1, 4, 5)
  return found.reshape(*found.shape[:2], -1, x.shape[-1])


def overlap_add(parts: Windows, shape: tuple[int, ...], field: int, stride: int) -> Maps:
  """Adds up windows where they stand: the transposed map of `windows`, onto maps of `shape`."""
  image = jax.ShapeDtypeStruct(shape, parts.dtype)
  return jax.linear_transpose(lambda x: windows(x, field, stride), image)(parts)[0]


def filtered(weights: Weights, x: Windows) -> Maps:
  """Each location's filters times its window."""
  return jnp.einsum("rcfw,rcwb->rcfb", weights, x)


def spread(weights: Weights, activities: Maps) -> Windows:
  """The sum of each location's filters by their activities."""
  return jnp.einsum("rcfw,rcfb->rcwb", weights, activities)


def l2_pool(h: Maps, size: int, epsilon: float) -> Maps:
  """sqrt(epsilon + the sum of squares over `size` x `size` locations of the same map)."""
  return jnp.sqrt(epsilon + _weighted(jnp.square(h), np.ones(size)))


def local_contrast_norm(h: Maps, size: int, least: float) -> Maps:
  """Takes the local mean away and divides by the local deviation, or by `least` if it is smaller.

  Jarrett et al. 2009, section 3.1: both are averages over all maps and, weighted by a Gaussian,
  over `size` x `size` locations (its deviation is a quarter of that). Weights beyond the image
  count for nothing.
  """
  at = np.arange(size) - (size - 1) / 2
  gaussian = np.exp(-np.square(at) / (2 * (size / 4) ** 2))
  mass = _weighted(jnp.ones((*h.shape[:2], 1, 1), h.dtype), gaussian)
  mean = lambda x: _weighted(x.mean(axis=2, keepdims=True), gaussian) / mass
  g = h - mean(h)
  variance = mean(jnp.square(g))
  return g / jnp.sqrt(jnp.where(variance > least**2, variance, least**2))


def _split(x: Float[Array, " length *rest"], field: int, stride: int) -> Array:
  """Windows along the first axis, [window, in field, ...]; the stride divides field and length."""
  blocks = x.reshape(-1, stride, *x.shape[1:])
  count = len(blocks) - field // stride + 1
  return jnp.concatenate([blocks[at : at + count] for at in range(field // stride)], axis=1)


def _weighted(x: Maps, weights: np.ndarray) -> Maps:
  """Sums of the locations around each one, by weights along rows and along columns."""
  above = (len(weights) - 1) // 2
  below = len(weights) - 1 - above
  wide = with_borders(x, above, below)
  along = [weight * wide[at : at + len(x)] for at, weight in enumerate(weights)]
  wide = jnp.pad(functools.reduce(jnp.add, along), [(0, 0), (above, below), (0, 0), (0, 0)])
  columns = x.shape[1]
  parts = [weight * wide[:, at : at + columns] for at, weight in enumerate(weights)]
  return functools.reduce(jnp.add, parts)
