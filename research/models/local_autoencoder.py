"""The deep sparse auto-encoder of untied local filters (Le et al. 2012)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.sharding import AbstractMesh, Mesh, PartitionSpec
from jaxtyping import Array, Float

from research.layers.locally_connected import (
  Maps,
  filtered,
  l2_pool,
  local_contrast_norm,
  overlap_add,
  spread,
  windows,
)
from research.layers.location_axis import LOCATION_AXIS

EPSILON = 1e-4  # added to the squares under the root of a pooling neuron
LEAST = 0.01  # c, the least deviation that contrast is divided by


class Stage(NamedTuple):
  """The sizes of one stage, along a side.

  Attributes:
    field: pixels, or locations of the stage below, that a filter sees.
    stride: of them from a field to the next.
    maps: filters of every location.
    pool: locations that a pooling neuron sees, of one map.
    norm: locations over which contrast is normalised.
  """

  field: int
  stride: int
  maps: int
  pool: int = 3
  norm: int = 3


class Responses(NamedTuple):
  """The neurons of one stage: its filters, the pooling ones, and these with contrast normalised."""

  filtered: Maps
  pooled: Maps
  normalised: Maps


class Coded(NamedTuple):
  """The network's outputs.

  Attributes:
    reconstruction: squared errors of each stage's input, summed over it.
    sparsity: sums of each stage's pooling neurons.
    responses: of all neurons, by stage.
  """

  reconstruction: Float[Array, "batch stage"]
  sparsity: Float[Array, "batch stage"]
  responses: tuple[Responses, ...]


class LocalAutoencoder(linen.Module):
  """Stages of untied local filters, L2 pooling and local contrast normalisation.

  A stage's decoder has its encoder's weights, W2 = W1: with weights of their own, small ones here
  and large ones there would take away the cost of activity. Each stage learns to give its own input
  back. No gradient flows into the stage below, so that all learn at once and each what it would
  learn after the others.

  Attributes:
    stages: from the image upwards.
    normalise: whether contrast is normalised.
    scale: standard deviation of a first response to an input of unit variance.
  """

  stages: tuple[Stage, ...]
  normalise: bool = True
  scale: float = 0.1

  @linen.compact
  def __call__(self, x: Float[Array, "batch row column channel"], train: bool = False) -> Coded:
    """The costs and the responses."""
    x, reconstruction, sparsity, responses = x.transpose(1, 2, 3, 0), [], [], []
    for number, stage in enumerate(self.stages):
      x = jax.lax.stop_gradient(x) if train else x
      seen = windows(x, stage.field, stage.stride)
      shape = (*seen.shape[:2], stage.maps, seen.shape[2])
      init = linen.initializers.normal(self.scale / np.sqrt(seen.shape[2]))
      weights = self.param(f"filters_{number}", init, shape)
      h = filtered(weights, seen)
      pooled = l2_pool(h, stage.pool, EPSILON)
      again = overlap_add(spread(weights, h), x.shape, stage.field, stage.stride)
      reconstruction.append(jnp.square(again - x).sum(axis=(0, 1, 2)))
      sparsity.append(pooled.sum(axis=(0, 1, 2)))
      x = local_contrast_norm(pooled, stage.norm, LEAST) if self.normalise else pooled
      responses.append(Responses(h, pooled, x))
    return Coded(jnp.stack(reconstruction, 1), jnp.stack(sparsity, 1), tuple(responses))


def sparse_cost(coded: Coded, lambda_: Float[Array, ""] | float) -> Float[Array, " batch"]:
  """The sum over the stages of ||W W^T x - x||^2 + lambda * sum_j sqrt(epsilon + H_j (W^T x)^2)."""
  return (coded.reconstruction + lambda_ * coded.sparsity).sum(axis=1)


def cost_by_location(
  model: LocalAutoencoder, mesh: Mesh | AbstractMesh
) -> Callable[[Any, Array, Array | float], Float[Array, ""]]:
  """The network's mean cost with its rows of locations shared out over devices.

  Each device holds the weights of its own locations and its own rows of the images, and gets from
  its neighbours what its fields, pools and averages need beyond them (Le et al. 2012).

  Args:
    model: the network.
    mesh: of the one axis `LOCATION_AXIS`; an abstract one will do to look at the program.

  Returns:
    a function of (params, images, lambda), to be differentiated and compiled. It raises ValueError
    where the devices do not divide the rows of a stage.
  """
  rows, images = PartitionSpec(LOCATION_AXIS), PartitionSpec(None, LOCATION_AXIS)

  def own_part(params: Any, x: Array, lambda_: Array | float) -> Array:
    return sparse_cost(model.apply({"params": params}, x, train=True), lambda_)[None]

  # Unchecked, or the transposed map of `overlap_add` would add up what lies on all devices.
  parts = jax.shard_map(
    own_part,
    mesh=mesh,
    in_specs=(rows, images, PartitionSpec()),
    out_specs=rows,
    check_vma=False,
  )
  return lambda params, x, lambda_: parts(params, x, lambda_).sum(axis=0).mean()
