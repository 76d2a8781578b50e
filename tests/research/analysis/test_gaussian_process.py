"""The Gaussian process against scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from research.analysis import gaussian_process as gp
from research.analysis.gaussian_process import Data, Kernel

NOISE = 1e-4


def observations(absent=3):
  """Seven observations in two dimensions and some rows that are not there yet, which hold junk."""
  rng = np.random.default_rng(0)
  x, y = rng.random((7 + absent, 2)), rng.normal(size=7 + absent)
  y[7:] = 1e3
  return Data(jnp.asarray(x), jnp.asarray(y), jnp.arange(7 + absent) < 7)


def test_the_process_is_scikit_learns():
  with jax.enable_x64(True):
    data = observations()
    kernel = Kernel(jnp.array([0.3, 0.7]), jnp.array(1.4))
    theirs = GaussianProcessRegressor(
      ConstantKernel(1.4**2) * Matern([0.3, 0.7], nu=2.5), alpha=NOISE, optimizer=None
    ).fit(data.x[:7], data.y[:7])
    at = np.random.default_rng(1).random((20, 2))
    mean, deviation = theirs.predict(at, return_std=True)
    ours = gp.posterior(kernel, data, NOISE, jnp.asarray(at))
    np.testing.assert_allclose(ours[0], mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours[1], deviation, rtol=1e-9)
    likelihood = gp.log_marginal(kernel, data, NOISE)
    assert float(likelihood) == pytest.approx(theirs.log_marginal_likelihood_value_, rel=1e-10)


def test_the_fit_reaches_scikit_learns_likelihood():
  with jax.enable_x64(True):
    x = jnp.asarray(np.random.default_rng(2).random((20, 2)))
    data = gp.standardised(Data(x, jnp.sin(6 * x[:, 0]) + 0.2 * x[:, 1], jnp.ones(20, bool)))
    kernel = gp.fitted(data, NOISE, 50)
    shapes = Matern([0.3, 0.3], [gp.LENGTHS] * 2, nu=2.5)
    bounds = [bound**2 for bound in gp.AMPLITUDES]
    theirs = GaussianProcessRegressor(
      ConstantKernel(1.0, bounds) * shapes, alpha=NOISE, n_restarts_optimizer=3, random_state=0
    ).fit(data.x, data.y)
    reached = float(gp.log_marginal(kernel, data, NOISE))
    assert reached > theirs.log_marginal_likelihood_value_ - 0.5
    assert kernel.lengths[1] > 2 * kernel.lengths[0]  # the second dimension matters less


def test_expected_improvement_is_the_mean_of_improvements():
  mean, deviation = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.5, 1.0, 0.7])
  ours = gp.expected_improvement(mean, deviation, jnp.array(0.3))
  draws = np.asarray(mean) + np.asarray(deviation) * np.random.default_rng(0).normal(
    size=(400_000, 3)
  )
  np.testing.assert_allclose(ours, np.maximum(0.3 - draws, 0).mean(axis=0), rtol=0.02, atol=1e-4)


def test_the_outlook_is_in_the_observations_own_unit():
  with jax.enable_x64(True):
    data, at = observations(), jnp.asarray(np.random.default_rng(1).random((5, 2)))
    outlook = jax.jit(gp.outlook, static_argnums=2)
    mean, deviation, gain = outlook(data, NOISE, 5, at)
    wider = outlook(data._replace(y=10 * data.y + 3), NOISE, 5, at)
    for found, expected in zip(wider, (10 * mean + 3, 10 * deviation, 10 * gain), strict=True):
      np.testing.assert_allclose(found, expected, rtol=1e-7)
    seen = outlook(data, NOISE, 50, data.x[:7])[0]
    np.testing.assert_allclose(seen, data.y[:7], atol=0.5)
