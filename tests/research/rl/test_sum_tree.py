import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.rl import sum_tree


@pytest.fixture
def filled():
  values = np.random.default_rng(0).uniform(0, 2, 2000)
  values[np.random.default_rng(1).uniform(size=2000) < 0.3] = 0
  tree = sum_tree.update(sum_tree.empty(2000), jnp.arange(2000), jnp.asarray(values, jnp.float32))
  return tree, values


def test_every_node_is_the_sum_of_its_children(filled):
  tree, values = filled
  assert [level.shape for level in tree] == [(1, 32), (2, 32), (63, 32)]  # no more than it takes
  assert sum_tree.total(tree) == pytest.approx(values.sum(), rel=1e-5)
  for above, below in itertools.pairwise(tree):
    np.testing.assert_allclose(above.reshape(-1)[: len(below)], below.sum(axis=1), rtol=1e-6)
  np.testing.assert_allclose(sum_tree.priorities(tree, jnp.arange(2000)), values, rtol=1e-6)


def test_repeated_updates_gather_no_error(filled):
  tree, values = filled
  # The same leaf twice in one batch: the sums hold what the leaf holds.
  tree = sum_tree.update(tree, jnp.array([7, 7, 1999]), jnp.array([1e6, 1e6, 3.0]))
  tree = sum_tree.update(tree, jnp.array([7]), jnp.array([0.5]))
  values = values.copy()
  values[[7, 1999]] = 0.5, 3.0
  assert sum_tree.total(tree) == pytest.approx(values.sum(), rel=1e-5)


def test_points_find_the_leaf_in_whose_interval_they_lie(filled):
  tree, values = filled
  ends = np.cumsum(values)
  positive = np.flatnonzero(values)
  middles = (ends - values / 2)[positive]
  np.testing.assert_array_equal(sum_tree.find(tree, jnp.asarray(middles, jnp.float32)), positive)


def test_a_point_between_two_leaves_is_the_second_ones():
  """Intervals hold their beginning and not their end, at the first of a node's children too."""
  tree = sum_tree.update(sum_tree.empty(70), jnp.arange(70), jnp.ones(70))
  points = jnp.array([0.0, 1.0, 31.0, 32.0, 64.0, 69.0])
  np.testing.assert_array_equal(sum_tree.find(tree, points), points)


def test_leaves_of_priority_zero_are_never_drawn(filled):
  tree, values = filled
  total = float(sum_tree.total(tree))
  points = jnp.concatenate([jax.random.uniform(jax.random.key(0), (20_000,)) * total])
  edges = jnp.array([0.0, total, total * (1 + 1e-6)], jnp.float32)
  found = np.asarray(sum_tree.find(tree, jnp.concatenate([points, edges])))
  assert np.all(values[found] > 0)
  drawn = np.bincount(found, minlength=2000) / len(found)
  assert np.abs(drawn - values / values.sum()).max() < 5 * np.sqrt(1e-3 / 20_000)
