import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.fully_convolutional import (
  FCN,
  STRIDE,
  VARIANTS,
  WINDOW,
  WindowClassifier,
  as_convolutions,
  begun_with,
  window_by_window,
)

WIDTH, HIDDEN = 2, 5
DENSE = WindowClassifier(WIDTH, HIDDEN, 3)
CONVOLUTIONAL = WindowClassifier(WIDTH, HIDDEN, 3, is_convolutional=True)


@pytest.fixture(scope="module")
def trained():
  """A classifier's parameters; biases that are not 0 show where one is lost."""
  params = jax.jit(DENSE.init)(jax.random.key(0), jnp.zeros((1, WINDOW, WINDOW, 1)))["params"]
  return jax.tree.map(lambda leaf: leaf + 0.01, params)


def test_one_pass_is_the_window_that_slides(trained):
  image = jax.random.uniform(jax.random.key(1), (1, WINDOW + 2 * STRIDE, WINDOW + STRIDE, 1))
  grid = CONVOLUTIONAL.apply({"params": as_convolutions(trained)}, image)
  assert grid.shape == (1, 3, 2, 3)
  slow = jax.jit(lambda x: window_by_window(DENSE, trained, x))(image)
  np.testing.assert_allclose(grid, slow, atol=1e-5)
  corner = image[:, 2 * STRIDE :, STRIDE:]
  np.testing.assert_allclose(slow[:, 2, 1], DENSE.apply({"params": trained}, corner), atol=1e-5)


def test_scores_lie_over_their_pixels():
  """With kernels that are their own mirror images, a mirrored picture has mirrored logits."""
  model = FCN(WIDTH, HIDDEN, 3, VARIANTS["8s"])  # which adds all scores
  x = jax.random.uniform(jax.random.key(1), (1, 16, 16, 1))
  params = jax.jit(model.init)(jax.random.key(0), x)["params"]
  filled = jax.tree.map(
    lambda leaf: leaf + jax.random.normal(jax.random.key(2), leaf.shape), params
  )
  mirrored = lambda leaf: (leaf + leaf[:, ::-1]) / 2 if leaf.ndim == 4 else leaf
  params = {"params": jax.tree.map(mirrored, filled)}
  apply = jax.jit(model.apply)
  found = apply(params, x)
  assert found.shape == (1, 16, 16, 3)
  turned = apply(params, x[:, :, ::-1])[:, :, ::-1]
  np.testing.assert_allclose(found, turned, atol=1e-4 * np.abs(found).max())


def test_it_begins_with_the_classifiers_features(trained):
  x = jnp.zeros((1, 16, 16, 1))
  params = jax.jit(FCN(WIDTH, HIDDEN, 3, 2).init)(jax.random.key(3), x)["params"]
  begun = begun_with(params, as_convolutions(trained))
  np.testing.assert_array_equal(begun["fc6"]["bias"], trained["fc6"]["bias"])
  assert jax.tree.map(jnp.shape, begun) == jax.tree.map(jnp.shape, params)
  assert not begun["score_8"]["kernel"].any()
