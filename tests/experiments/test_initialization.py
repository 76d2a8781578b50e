"""Initialisation and normalisation: their numbers, and the traps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.initialization import (
  activation_histograms,
  batch_norm_by_hand,
  input_normalisation,
  layer_norm,
  symmetry,
)
from research.analysis.gradient_check import largest_difference
from research.config import replace
from tests.fixtures.stand_in_labs import FakeLab, failed


def test_columns_and_ranks_see_equal_and_different_units():
  column = np.linspace(-1, 1, 5)[:, None]
  equal = np.repeat(column, 3, axis=1)
  assert symmetry.distinct_units(equal * (1 + 1e-6)) == symmetry.rank(equal) == 1
  different = equal + np.eye(5, 3)
  assert symmetry.distinct_units(different) == symmetry.rank(different) == 3
  assert symmetry.rank(np.zeros((5, 3))) == 0
  proportional = column * np.array([[1, 2, 3]])  # one direction, but units that differ
  assert (symmetry.rank(proportional), symmetry.distinct_units(proportional)) == (1, 3)


def test_gradient_steps_keep_equal_units_equal():
  config = replace(symmetry.Config(hidden=5), {"init.name": "zeros"})
  learner = symmetry.training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  rng = np.random.default_rng(0)
  batch = {
    "image": jnp.asarray(rng.integers(0, 256, (30, 8, 8, 1)), jnp.uint8),
    "label": jnp.asarray(rng.integers(0, 10, 30), jnp.int32),
  }
  step = jax.jit(learner.step)
  for _ in range(3):
    state, _ = step(config, state, batch)
  kernel = np.asarray(state.params["Dense_0"]["kernel"])
  assert kernel.any()
  assert symmetry.distinct_units(kernel) == symmetry.rank(kernel) == 1


def test_histograms_of_a_few_nets_have_the_books_statistics():
  config = activation_histograms.Config(examples=300, nets=4)
  statistics = lambda *names: activation_histograms.statistics(*names, config, jax.random.key(0))
  sigmoid, relu = statistics("sigmoid", "std 1"), statistics("ReLU", "He")
  assert sigmoid["saturated"].min() > 0.7
  assert relu["activation"][0] == pytest.approx(0.83, abs=0.05)
  assert relu["activation"][-1] == pytest.approx(0.83, abs=0.25)
  assert statistics("ReLU", "std 0.01")["activation"][-1] < 1e-5


def test_batch_norm_report_holds():
  assert not failed(batch_norm_by_hand.run(batch_norm_by_hand.Config(size=2), FakeLab()))


def test_the_gradient_check_sees_a_mistake_that_a_batch_of_one_hides(monkeypatch):
  def without_the_variance(kept, d):
    normal, std, gamma = kept
    d_normal = d * gamma[None]
    d_x = (d_normal - d_normal.mean(axis=0, keepdims=True)) / std
    return d_x, jnp.sum(d * normal, axis=0), d.sum(axis=0)

  batch_norm_by_hand.batch_norm.defvjp(batch_norm_by_hand.forward, without_the_variance)
  try:
    with jax.enable_x64(True):
      for batch, is_seen in ((4, True), (1, False)):
        found = batch_norm_by_hand.gradients(batch_norm_by_hand.batch_norm, (batch, 3), 3, seed=0)
        assert (largest_difference(*found) > 1e-3) == is_seen
  finally:
    batch_norm_by_hand.batch_norm.defvjp(batch_norm_by_hand.forward, batch_norm_by_hand.backward)


def test_the_books_form_has_statistics_for_every_pixel():
  x = jax.random.normal(jax.random.key(0), (50, 2, 2, 3)) * jnp.arange(1.0, 3)[None, :, None, None]
  spread = lambda y: np.asarray(y.std(axis=0))
  per_pixel = batch_norm_by_hand.per_pixel(x, jnp.ones(12), jnp.zeros(12))
  np.testing.assert_allclose(spread(per_pixel), 1, atol=1e-3)
  per_channel = batch_norm_by_hand.per_channel(x, jnp.ones(3), jnp.zeros(3))
  assert spread(per_channel)[1].mean() / spread(per_channel)[0].mean() > 1.7


def test_layer_norm():
  assert not failed(layer_norm.run(layer_norm.Config(), FakeLab()))


def test_input_normalisation():
  config = input_normalisation.Config(scales=(1, 20), examples=200)
  report = input_normalisation.run(config, FakeLab())
  assert failed(report) == [] or all("over" in line for line in failed(report))


def test_scalers_use_the_training_rows_statistics():
  train, test = jnp.array([[0.0], [2.0]]), jnp.array([[4.0]])
  np.testing.assert_allclose(input_normalisation.min_max(train)(test), [[2]])
  np.testing.assert_allclose(input_normalisation.z_score(train)(test), [[3]])
