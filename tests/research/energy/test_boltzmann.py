import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.energy import boltzmann
from research.energy.boltzmann import Couplings

# Below the diagonal and on it stands what must not count.
THREE = Couplings(
  jnp.array([[9.0, 1.0, -2.0], [7.0, 9.0, 0.5], [7.0, 7.0, 9.0]]), jnp.array([0.1, -0.3, 0.2])
)


def chances(couplings, temperature=1.0):
  states = jnp.asarray(boltzmann.all_states(len(couplings.biases)))
  return jax.nn.softmax(-boltzmann.energy(couplings, states) / temperature)


def frequencies(states):
  """How often each state is among those of [chain, unit]."""
  units = states.shape[1]
  numbers = np.asarray(states, int) @ 2 ** np.arange(units)[::-1]
  return np.bincount(numbers, minlength=2**units) / len(numbers)


def test_drawn_couplings_have_the_deviation_asked_for_and_biases_of_their_own():
  drawn = boltzmann.draw(jax.random.key(0), 40, 0.5)
  assert drawn.weights.shape == (40, 40) and drawn.biases.shape == (40,)
  assert np.std(drawn.weights) == pytest.approx(0.5, rel=0.1)
  assert np.std(drawn.biases) == pytest.approx(0.5, rel=0.4)
  assert not np.isin(drawn.biases, drawn.weights).any()


def test_energy_by_hand():
  states = jnp.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]])
  by_hand = [0, -0.1, -1 + 0.2, 2 - 0.3, -(1 - 2 + 0.5) - 0.0]
  np.testing.assert_allclose(boltzmann.energy(THREE, states), by_hand, atol=1e-6)


def test_states_are_all_and_each_once():
  assert boltzmann.all_states(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
  assert len(np.unique(boltzmann.all_states(5), axis=0)) == 32
  assert boltzmann.all_states(0).shape == (1, 0)


def test_couplings_are_mirrored_and_the_diagonal_is_zero():
  expected = [[0, 1, -2], [1, 0, 0.5], [-2, 0.5, 0]]
  assert boltzmann.symmetric(THREE.weights).tolist() == expected


@pytest.mark.parametrize("visible", [1, 2, 3])
def test_likelihoods_are_sums_over_the_hidden_units(visible):
  patterns = jnp.asarray(boltzmann.all_states(visible))
  summed = chances(THREE).reshape(2**visible, -1).sum(axis=1)
  found = jnp.exp(boltzmann.log_likelihood(THREE, patterns))
  np.testing.assert_allclose(found, summed, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_sweeps_keep_the_distribution(temperature):
  key = jax.random.key(0)
  states = jax.random.bernoulli(key, shape=(20_000, 3)).astype(float)
  states = boltzmann.anneal(
    THREE, states, jax.random.split(jax.random.key(1), 20_000), jnp.full(20, temperature)
  )
  error = np.abs(frequencies(states) - chances(THREE, temperature)).max()
  assert error < 4 * 0.5 / 20_000**0.5


def test_held_units_stay_and_the_others_follow_them():
  held = jnp.tile(jnp.array([[1.0, 0.0, 0.0]]), (20_000, 1))
  states = boltzmann.sweeps(THREE, held, jax.random.split(jax.random.key(0), 20_000), 20, clamped=1)
  assert bool((states[:, 0] == 1).all())
  given = chances(THREE)[4:] / chances(THREE)[4:].sum()
  assert np.abs(frequencies(states[:, 1:]) - given).max() < 4 * 0.5 / 20_000**0.5


def test_exchanges_keep_every_levels_distribution():
  temperatures = jnp.array([1.0, 2.0, 5.0])
  stiff = Couplings(4 * THREE.weights, THREE.biases)
  states = jax.random.bernoulli(jax.random.key(0), shape=(3, 20_000, 3)).astype(float)
  for number in range(30):
    key = jax.random.key(number + 1)
    states = boltzmann.tempered_sweep(stiff, states, temperatures, key)
  for level, temperature in zip(states, temperatures, strict=True):
    error = np.abs(frequencies(level) - chances(stiff, temperature)).max()
    assert error < 4 * 0.5 / 20_000**0.5


def test_the_rule_is_the_derivative_of_the_likelihood():
  patterns = jnp.asarray(boltzmann.all_states(2)[[0, 3, 3]])
  rule = boltzmann.log_likelihood_gradient(
    boltzmann.exact_clamped_statistics(THREE, patterns, jnp.full(3, 1 / 3)),
    boltzmann.exact_statistics(THREE),
  )
  derivative = jax.grad(lambda c: boltzmann.log_likelihood(c, patterns).mean())(THREE)
  for a, b in zip(rule, derivative, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_statistics_of_two_states_by_hand():
  pairs, means = boltzmann.statistics(jnp.array([[1.0, 1, 0], [1, 0, 1]]), jnp.array([0.5, 0.5]))
  assert pairs.tolist() == [[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0]]
  assert means.tolist() == [1, 0.5, 0.5]
