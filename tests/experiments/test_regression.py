"""Linear models and the small nets beside them: golden values, and softmax twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.regression import linear_regression, mlp_demo, softmax_regression
from research.losses import softmax_cross_entropy
from tests.fixtures.stand_in_labs import FakeLab, failed


def test_the_golden_values():
  assert not failed(linear_regression.run(linear_regression.Config(), FakeLab()))


def test_descent_ends_at_least_squares():
  with jax.enable_x64(True):
    x, y = (jnp.asarray(values) for values in linear_regression.notes_data())
    best = linear_regression.closed_form(x, y)
    found, _ = linear_regression.descend(x, y, 0.1, 3000)
    np.testing.assert_allclose(found.w, best.w, atol=1e-9)
    slope = jax.grad(linear_regression.squared_error)(best, x, y)
    np.testing.assert_allclose(slope.b, 0, atol=1e-12)


def test_softmax_twice_hides_from_the_gradient():
  logits = jnp.array([[8.0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])
  batch = {"label": jnp.array([3])}  # wrong, and certain of it
  slopes = [
    jax.grad(lambda z, loss=loss: loss(z, batch)[0])(logits)
    for loss in (softmax_regression.softmax_twice, softmax_cross_entropy)
  ]
  once, twice = float(jnp.abs(slopes[1]).max()), float(jnp.abs(slopes[0]).max())
  assert once == pytest.approx(1, abs=0.01)
  assert twice < 0.01
  assert softmax_regression.least_loss() == pytest.approx(np.log(1 + 9 / np.e), rel=1e-5)


def test_simple_net_has_pytorchs_weights():
  config = softmax_regression.Config()
  net = softmax_regression.SimpleNet(config.hidden)
  params = net.init(jax.random.key(0), jnp.zeros((1, 784)))["params"]
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 101_770
  for layer, fan_in in (("Dense_0", 784), ("Dense_1", 128)):
    for leaf in params[layer].values():
      assert np.abs(leaf).max() <= fan_in**-0.5
      assert np.abs(leaf).max() > 0.7 * fan_in**-0.5


def test_the_demo_learns_its_points():
  config = mlp_demo.Config(nets=4, steps=1500)
  report = mlp_demo.run(config, FakeLab())
  assert [line for line in failed(report) if "first loss" not in line] == []
