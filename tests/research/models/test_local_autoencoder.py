import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from research.analysis.gradient_check import central_differences
from research.layers import locally_connected as local
from research.layers.location_axis import LOCATION_AXIS
from research.models.local_autoencoder import (
  LEAST,
  LocalAutoencoder,
  Stage,
  cost_by_location,
  sparse_cost,
)
from research.planning.collectives import collectives

SMALL = LocalAutoencoder((Stage(4, 2, 2), Stage(2, 1, 3)), scale=1.0)
DEVICES = 4


@pytest.fixture(scope="module")
def small():
  """A network of two stages, images, and its parameters."""
  x = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
  return x, jax.jit(SMALL.init)(jax.random.key(1), x)["params"]


def mesh(devices):
  return Mesh(jax.devices()[:devices], (LOCATION_AXIS,), axis_types=(AxisType.Auto,))


def cost(params, x, lambda_):
  return sparse_cost(SMALL.apply({"params": params}, x, train=True), lambda_).mean()


def test_cost_is_the_papers(small):
  x, params = small
  coded = jax.jit(SMALL.apply)({"params": params}, x)
  seen = x.transpose(1, 2, 3, 0)
  expected = 0.0
  for number, stage in enumerate(SMALL.stages):
    responses, weights = coded.responses[number], params[f"filters_{number}"]
    again = local.overlap_add(
      local.spread(weights, responses.filtered), seen.shape, stage.field, stage.stride
    )
    expected += np.square(again - seen).sum() + 0.3 * np.sum(responses.pooled)
    seen = local.local_contrast_norm(responses.pooled, stage.norm, LEAST)
    np.testing.assert_allclose(responses.normalised, seen, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(sparse_cost(coded, 0.3).sum(), expected, rtol=1e-5)


def test_gradient_is_the_slope_of_the_stages_own_cost(small):
  x, params = small
  with jax.enable_x64(True):
    x, params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), (x, params))
    found = jax.jit(jax.grad(cost))(params, x, 0.3)
    for number in range(len(SMALL.stages)):
      name = f"filters_{number}"

      def own_cost(some, name=name, number=number):
        weights = params[name].at[0, 1, :, :2].set(some)
        coded = SMALL.apply({"params": params | {name: weights}}, x)
        own = coded.reconstruction[:, number] + 0.3 * coded.sparsity[:, number]
        return own.mean()

      slopes = jax.jit(functools.partial(central_differences, own_cost, h=1e-5))
      slope = slopes(params[name][0, 1, :, :2])
      np.testing.assert_allclose(found[name][0, 1, :, :2], slope, rtol=1e-6, atol=1e-8)


def test_sharded_by_location_equals_unsharded(small):
  x, params = small
  one = jax.jit(jax.value_and_grad(cost))(params, x, 0.3)
  by_location = jax.jit(jax.value_and_grad(cost_by_location(SMALL, mesh(DEVICES))))
  program = by_location.lower(params, x, 0.3).compile()
  many = program(params, x, 0.3)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), many, one)
  moved = collectives(program.as_text())
  assert set(moved) == {"collective-permute", "all-reduce"}
  assert moved["all-reduce"].bytes <= 4 * 8  # the sum of the costs of the batch


def test_rows_that_devices_do_not_divide_are_refused(small):
  x, params = small
  with pytest.raises(ValueError):
    cost_by_location(SMALL, mesh(3))(params, x, 0.3)
