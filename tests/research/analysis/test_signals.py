import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.signals import (
  ACTIVATIONS,
  deviations,
  drawn_weights,
  factors,
  log_sizes,
  signals,
  sizes,
)
from research.initializers import initializer


def test_signals_are_those_of_a_net_written_out():
  with jax.enable_x64(True):
    w = drawn_weights(initializer("normal"), jax.random.key(0), 3, 4)
    x, reading = jax.random.normal(jax.random.key(1), (2, 5, 4))
    assert w.dtype == float and len({float(layer[0, 0]) for layer in w}) == 3

    def output(shift):
      return jnp.sum(reading * jnp.tanh(jnp.tanh(jnp.tanh(x @ w[0]) @ w[1] + shift) @ w[2]))

    found = signals(ACTIVATIONS["tanh"], w, x, reading)
    np.testing.assert_allclose(found.activations[0], jnp.tanh(x @ w[0]), rtol=1e-12)
    expected = jax.grad(output)(jnp.zeros((5, 4)))
    np.testing.assert_allclose(found.gradients[1], expected, rtol=1e-10)


def test_a_step_has_values_and_no_gradient():
  w = drawn_weights(initializer("normal"), jax.random.key(0), 2, 4)
  found = signals(ACTIVATIONS["step"], w, jnp.ones((3, 4)), jnp.ones((3, 4)))
  assert set(np.unique(found.activations)) <= {0.0, 1.0}
  assert not np.any(found.gradients)


def test_deviation_is_about_the_mean_and_size_is_not():
  values = jnp.array([[[3.0, 5.0]], [[-4.0, -4.0]]])
  np.testing.assert_allclose(deviations(values), [1, 0])
  np.testing.assert_allclose(sizes(values), [17**0.5, 4], rtol=1e-6)


@pytest.mark.parametrize("layers", [5, 30])
def test_factors_do_not_depend_on_depth(layers):
  with jax.enable_x64(True):
    x, reading = jax.random.normal(jax.random.key(0), (2, 20, 64))
    weights = drawn_weights(initializer("normal"), jax.random.key(1), layers, 64)
    logs = log_sizes("ReLU", weights, x, reading)
  forth, back = factors(np.exp(np.asarray(logs)))
  assert forth == pytest.approx(32**0.5, rel=0.15)
  assert back == pytest.approx(32**0.5, rel=0.15)


def test_factors_are_taken_along_the_signals_way():
  forth, back = factors(np.array([[1.0, 2, 4], [9.0, 3, 1]]))
  assert (forth, back) == (2, 3)
