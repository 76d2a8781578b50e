import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from research.layers.pooling import adaptive_avg_pool, avg_pool, max_pool

WINDOWS = [
  ((2, 2), (2, 2), "VALID"),
  ((3, 2), (3, 2), "VALID"),
  ((2, 2), (2, 2), "SAME"),
  ((3, 3), (2, 2), "VALID"),
  ((3, 3), (1, 1), ((1, 1), (0, 2))),
]


@pytest.mark.parametrize("window, strides, padding", WINDOWS)
@pytest.mark.parametrize("ours, theirs", [(max_pool, linen.max_pool), (avg_pool, linen.avg_pool)])
def test_equals_linen_with_gradients(ours, theirs, window, strides, padding):
  x = jax.random.normal(jax.random.key(0), (2, 7, 8, 3))
  y, gradient = jax.vjp(lambda x: ours(x, window, strides, padding), x)
  expected, expected_gradient = jax.vjp(lambda x: theirs(x, window, strides, padding), x)
  np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
  cotangent = jax.random.normal(jax.random.key(1), y.shape)
  np.testing.assert_allclose(
    gradient(cotangent)[0], expected_gradient(cotangent)[0], rtol=1e-5, atol=1e-6
  )


def test_strides_default_to_the_window():
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_array_equal(max_pool(x).ravel(), [5, 7, 13, 15])
  np.testing.assert_array_equal(avg_pool(x).ravel(), [2.5, 4.5, 10.5, 12.5])
  assert max_pool(x, (3, 3)).shape == (1, 1, 1, 1)


def test_equal_maxima_share_the_gradient_of_a_tiling_window():
  x = jnp.array([[3.0, 1.0], [3.0, 3.0]]).reshape(1, 2, 2, 1)
  gradient = jax.grad(lambda x: max_pool(x).sum())(x)
  np.testing.assert_allclose(gradient.ravel(), [1 / 3, 0, 1 / 3, 1 / 3], rtol=1e-6)
  overlapping = jax.grad(lambda x: max_pool(x, (2, 2), (1, 1)).sum())(x)
  np.testing.assert_array_equal(overlapping.ravel(), [1 / 4, 0, 1 / 4, 1 / 2])


def ceil_reference(x, window, stride):
  """Windows that begin inside, one after the other."""
  size = x.shape[0]
  starts = [at for at in range(0, size, stride) if at == 0 or at - stride + window < size]
  return np.array([[x[r : r + window, c : c + window].max() for c in starts] for r in starts])


@pytest.mark.parametrize("size", [1, 3, 6, 7, 8])
@pytest.mark.parametrize("window, stride", [(2, 2), (3, 2), (2, 3), (3, 1)])
def test_ceil_keeps_windows_that_begin_inside(size, window, stride):
  x = np.random.default_rng(size).normal(size=(size, size)) - 10  # no zero may win
  y = max_pool(jnp.asarray(x)[None, :, :, None], (window,) * 2, (stride,) * 2, "CEIL")
  np.testing.assert_allclose(y[0, :, :, 0], ceil_reference(x, window, stride), rtol=1e-6)


def test_second_derivative_of_overlapping_maxima():
  x = jax.random.normal(jax.random.key(0), (1, 5, 5, 2))
  curvature = lambda pool: jax.grad(
    lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))(x) ** 2)
  )(x)
  ours = curvature(lambda x: max_pool(x, (3, 3), (2, 2)))
  theirs = curvature(lambda x: linen.max_pool(x, (3, 3), (2, 2)))
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("height, width", [(14, 14), (5, 7), (4, 4), (2, 3)])
def test_adaptive_windows_cover_the_image(height, width):
  x = np.random.default_rng(0).normal(size=(height, width))
  y = adaptive_avg_pool(jnp.asarray(x)[None, :, :, None], (4, 4))[0, :, :, 0]
  cut = lambda i, length: slice(i * length // 4, -(-(i + 1) * length // 4))
  expected = [[x[cut(i, height), cut(j, width)].mean() for j in range(4)] for i in range(4)]
  np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("window, strides", [((2, 2), None), ((3, 3), (2, 2))])
def test_the_gradient_never_asks_what_equals_the_maximum(window, strides):
  """XLA may compute the values anew for that question, rounded otherwise, and none would."""
  x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
  slope = jax.grad(lambda x: jnp.sum(max_pool(x, window, strides) ** 2))
  found = {equation.primitive.name for equation in jax.make_jaxpr(slope)(x).eqns}
  assert "ge" in found and "eq" not in found
