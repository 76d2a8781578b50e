import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from research.layers.batch_axis import BATCH_AXIS
from research.layers.batch_norm import BatchNorm, batch_statistics


def images(batch=6):
  return 3 + 2 * jax.random.normal(jax.random.key(0), (batch, 4, 5, 3))


def trained(x, mask=None, **knobs):
  module = BatchNorm(**knobs)
  variables = module.init(jax.random.key(1), x)
  return module.apply(variables, x, True, mask=mask, mutable="batch_stats")


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 5, 3)])
def test_equals_linen_in_training_and_evaluation_with_gradients(shape):
  x = images()[: shape[0]].reshape(-1, 3)[: np.prod(shape[:-1])].reshape(shape)
  ours, theirs = BatchNorm(momentum=0.8, epsilon=1e-3), linen.BatchNorm(momentum=0.8, epsilon=1e-3)
  variables = ours.init(jax.random.key(1), x)
  variables["params"] = {"scale": jnp.array([1.0, 2, 3]), "bias": jnp.array([0.5, 0, -1])}

  def run(module, params, x, **mode):
    return module.apply(variables | {"params": params}, x, mutable="batch_stats", **mode)

  our_run = lambda params, x: run(ours, params, x, train=True)
  their_run = lambda params, x: run(theirs, params, x, use_running_average=False)
  a, a_stats = our_run(variables["params"], x)
  b, b_stats = their_run(variables["params"], x)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
  close(a, b)
  jax.tree.map(close, a_stats, b_stats)
  weights = jax.random.normal(jax.random.key(2), x.shape)
  gradient = lambda run: jax.grad(lambda p, x: jnp.sum(weights * run(p, x)[0]), argnums=(0, 1))
  jax.tree.map(
    close, gradient(our_run)(variables["params"], x), gradient(their_run)(variables["params"], x)
  )
  variables |= a_stats
  close(ours.apply(variables, x), theirs.apply(variables, x, use_running_average=True))


def test_padded_examples_count_for_nothing():
  x = images()
  padded = jnp.concatenate([x, jnp.full((2, 4, 5, 3), 1e3)])
  y, stats = trained(x)
  masked, masked_stats = trained(padded, mask=jnp.array([1.0] * 6 + [0] * 2))
  np.testing.assert_allclose(masked[:6], y, rtol=1e-5, atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), masked_stats, stats)


def test_a_batch_of_padding_only_stays_finite():
  y, stats = trained(images(), mask=jnp.zeros(6))
  assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((y, stats)))


def test_parts_of_a_batch_give_the_whole_batch_s_statistics_and_gradients():
  x, weights = images(), jax.random.normal(jax.random.key(2), (6, 4, 5, 3))
  loss = lambda x, w: jnp.sum(w * trained(x)[0])
  whole = jax.grad(loss)(x, weights)
  split = lambda a: a.reshape(3, 2, *a.shape[1:])
  parts = jax.vmap(jax.grad(loss), axis_name=BATCH_AXIS)(split(x), split(weights))
  np.testing.assert_allclose(parts.reshape(whole.shape), whole, rtol=1e-4, atol=1e-5)


def test_a_large_mean_costs_the_variance_no_digits():
  x = 1e4 + jax.random.normal(jax.random.key(0), (1000, 1))
  _, variance = batch_statistics(x)
  np.testing.assert_allclose(variance, np.var(np.asarray(x, np.float64), axis=0), rtol=1e-3)


def test_knobs_may_be_traced():
  y, stats = jax.jit(lambda m, e: trained(images(), momentum=m, epsilon=e))(0.0, 1e-5)
  mean, variance = batch_statistics(images())
  np.testing.assert_allclose(stats["batch_stats"]["mean"], mean, rtol=1e-5)
  np.testing.assert_allclose(stats["batch_stats"]["var"], variance, rtol=1e-5)
  assert abs(float(y.mean())) < 1e-4
