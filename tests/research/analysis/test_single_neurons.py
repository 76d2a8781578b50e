import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.single_neurons import BLOCK, accuracy_of, best_neuron, optimal_stimulus

pytestmark = pytest.mark.fast


def test_neuron_and_threshold_are_the_best_of_the_first_half():
  rng = np.random.default_rng(0)
  is_class = rng.random(60) < 0.35
  responses = np.round(rng.normal(size=(60, 7)) + 0.8 * is_class[:, None] * np.arange(7), 1)
  found = best_neuron(responses, is_class)
  half = slice(0, 30)
  every = [
    accuracy_of(responses[half, neuron], threshold, is_class[half])
    for neuron in range(7)
    for threshold in (-np.inf, *responses[half, neuron])
  ]
  assert found.chosen == max(every)
  own = responses[:, found.neuron] > found.threshold
  assert found.chosen == np.mean(own[:30] == is_class[:30])
  assert found.accuracy == np.mean(own[30:] == is_class[30:])


def test_a_neuron_beyond_the_first_block_is_found():
  is_class = np.arange(20) % 3 == 0
  responses = np.zeros((20, BLOCK + 3))
  responses[:, BLOCK + 1] = is_class
  found = best_neuron(responses, is_class)
  assert (found.neuron, found.chosen, found.accuracy) == (BLOCK + 1, 1, 1)


def test_neurons_that_never_change_say_no():
  is_class = np.arange(20) % 4 == 0
  found = best_neuron(np.ones((20, 2)), is_class)
  assert found.accuracy == np.mean(~is_class[10:])


def test_optimal_stimulus_of_a_linear_neuron_is_its_filter():
  weights = jax.random.normal(jax.random.key(0), (4, 4, 1))
  start = jax.random.normal(jax.random.key(1), (4, 4, 1))
  found = optimal_stimulus(lambda x: jnp.vdot(weights, x), start, norm=3.0)
  np.testing.assert_allclose(jnp.linalg.norm(found.ravel()), 3, rtol=1e-5)
  assert jnp.vdot(found, weights) > 3 * 0.999 * jnp.linalg.norm(weights.ravel())
