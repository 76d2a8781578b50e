"""Bayesian optimisation's search, random search against the grid, and budgets of sweeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.tuning import (
  bayesian_optimisation,
  equal_budgets,
  population_quadratic,
  random_against_grid,
  random_search,
  search_scales,
)
from research.config import replace
from research.data import sets
from tests.fixtures.stand_in_labs import FakeLab, failed


def test_branins_minima():
  with jax.enable_x64(True):
    for place in bayesian_optimisation.MINIMISERS:
      unit = (jnp.array(place) + jnp.array([5.0, 0.0])) / 15
      assert float(bayesian_optimisation.branin(unit)) == pytest.approx(
        bayesian_optimisation.MINIMUM, abs=1e-5
      )


def test_the_search_closes_in():
  with jax.enable_x64(True):
    config = bayesian_optimisation.Config(evaluations=25, candidates=300, fit_steps=30)
    keys = jax.random.split(jax.random.key(3), 4)
    x, y = jax.jit(jax.vmap(bayesian_optimisation.search, in_axes=(None, 0)))(config, keys)
    assert x.shape == (4, 25, 2) and bool(jnp.all((x >= 0) & (x <= 1)))
    assert np.median(bayesian_optimisation.gaps(y)[:, -1]) < 0.3
    again = jax.vmap(jax.vmap(bayesian_optimisation.branin))(x)
    np.testing.assert_allclose(again, y, rtol=1e-9)


def test_random_against_grid():
  assert not failed(random_against_grid.run(random_against_grid.Config(functions=200), FakeLab()))


def test_its_own_scale_brings_a_search_nearer_to_the_best_value():
  report = search_scales.run(search_scales.Config(functions=200, draws=4000), FakeLab())
  assert not failed(report) and len(report.claims) == 6


def test_the_distance_formula():
  rng = np.random.default_rng(0)
  drawn = np.abs(rng.random((4000, 25)) - rng.random((4000, 1))).min(axis=1).mean()
  assert random_against_grid.distance_by_formula(25) == pytest.approx(drawn, rel=0.05)


@pytest.mark.slow
def test_bayesian_optimisation():
  assert not failed(bayesian_optimisation.run(bayesian_optimisation.Config(), FakeLab()))


def test_the_worse_of_two_workers_becomes_the_better():
  sight = jnp.eye(2)
  worse_first = population_quadratic.Workers(jnp.array([[0.9, 0.0], [0.0, 0.5]]), sight)
  both = population_quadratic.exploit(worse_first)
  np.testing.assert_allclose(both.place, [[0.0, 0.5]] * 2)
  np.testing.assert_allclose(both.sight, [[0.0, 1.0]] * 2)
  equal = population_quadratic.Workers(jnp.array([[0.9, 0.0], [0.0, 0.9]]), sight)
  np.testing.assert_allclose(population_quadratic.exploit(equal).sight, sight)
  moved = population_quadratic.explore(equal, 5.0, jax.random.key(0))
  assert jnp.all((moved.sight >= 0) & (moved.sight <= 1)) and not jnp.allclose(moved.sight, sight)
  np.testing.assert_allclose(moved.place, equal.place)


def test_only_a_population_that_does_both_climbs_the_quadratic():
  config = population_quadratic.Config()
  report = population_quadratic.run(config, FakeLab())
  (alone,) = failed(report)  # exploring alone solves more than it should
  assert alone.startswith("quadratic, exploring alone: populations")
  assert len(report.pictures) == 2
  assert len(failed(population_quadratic.run(replace(config, {"noise": 0.0}), FakeLab()))) > 1


@pytest.mark.parametrize("experiment", [random_search, equal_budgets])
def test_every_seed_splits_the_same_images_anew(experiment):
  tasks = [experiment.training(experiment.Config(), seed) for seed in (0, 0, 1)]
  images = lambda part: {image.tobytes() for image in part["image"]}
  held_out = [images(task.evaluate["validation"]) for task in tasks]
  assert held_out[0] == held_out[1] != held_out[2]
  whole = [images(task.data) | held for task, held in zip(tasks, held_out, strict=True)]
  assert whole[0] == whole[2] == images({"image": sets.load("mnist").train["image"][:500]})
