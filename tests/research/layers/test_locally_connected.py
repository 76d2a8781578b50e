import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers import locally_connected as local

pytestmark = pytest.mark.fast
FIELD, STRIDE = 4, 2


def maps(*shape):
  return np.random.default_rng(0).normal(size=shape)


def window_at(x, row, column):
  """The window of one location by its definition, [FIELD, FIELD, map, batch]."""
  low = (FIELD - STRIDE) // 2
  padded = np.pad(x, [(FIELD, FIELD), (FIELD, FIELD), (0, 0), (0, 0)])
  first = [FIELD + STRIDE * at - low for at in (row, column)]
  return padded[first[0] : first[0] + FIELD, first[1] : first[1] + FIELD]


def around(x, row, column, size):
  """What lies in a square around one location, with zeros beyond the image, and where it does."""
  r = size // 2
  wide = [(r, r), (r, r), (0, 0), (0, 0)]
  cut = lambda a: np.pad(a, wide)[row : row + size, column : column + size]
  return cut(x), cut(np.ones_like(x))


def test_every_location_has_filters_of_its_own():
  x, weights = maps(6, 8, 2, 3), maps(3, 4, 5, FIELD * FIELD * 2)
  with jax.enable_x64(True):
    filtered = jax.jit(lambda w, x: local.filtered(w, local.windows(x, FIELD, STRIDE)))
    found = filtered(jnp.asarray(weights), jnp.asarray(x))
  for row, column in itertools.product(range(3), range(4)):
    window = window_at(x, row, column).reshape(-1, 3)
    np.testing.assert_allclose(found[row, column], weights[row, column] @ window, rtol=1e-9)


def test_windows_are_added_up_where_they_stand():
  parts = maps(3, 4, FIELD * FIELD * 2, 3)
  with jax.enable_x64(True):
    found = jax.jit(lambda x: local.overlap_add(x, (6, 8, 2, 3), FIELD, STRIDE))(jnp.asarray(parts))
  expected, low = np.zeros((6 + 2 * FIELD, 8 + 2 * FIELD, 2, 3)), (FIELD - STRIDE) // 2
  for row, column in itertools.product(range(3), range(4)):
    r, c = (FIELD + STRIDE * at - low for at in (row, column))
    window = parts[row, column].reshape(FIELD, FIELD, 2, 3)
    expected[r : r + FIELD, c : c + FIELD] += window
  np.testing.assert_allclose(found, expected[FIELD:-FIELD, FIELD:-FIELD], rtol=1e-9)


def test_spread_is_the_sum_of_filters_by_their_activities():
  weights, h = maps(2, 3, 5, 7), maps(2, 3, 5, 4)
  with jax.enable_x64(True):
    found = local.spread(jnp.asarray(weights), jnp.asarray(h))
  expected = sum(weights[:, :, f, :, None] * h[:, :, f, None] for f in range(5))
  np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_pooling_neurons_see_one_map(size):
  h = maps(4, 5, 2, 3)
  with jax.enable_x64(True):
    found = jax.jit(local.l2_pool, static_argnums=(1, 2))(jnp.asarray(h), size, 0.1)
  for row, column in itertools.product(range(4), range(5)):
    seen, _ = around(h, row, column, size)
    np.testing.assert_allclose(
      found[row, column], np.sqrt(0.1 + np.square(seen).sum(axis=(0, 1))), rtol=1e-9
    )


def test_contrast_is_normalised_over_all_maps_nearby():
  h, size, least = maps(4, 5, 3, 2), 3, 0.8
  at = np.arange(size) - 1
  weight = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * (size / 4) ** 2))[..., None, None]

  def mean(x):
    found = np.empty((4, 5, 1, 2))
    for row, column in itertools.product(range(4), range(5)):
      seen, is_inside = around(x, row, column, size)
      total = (weight * seen).sum(axis=(0, 1, 2)) / (weight * is_inside).sum(axis=(0, 1, 2))
      found[row, column, 0] = total
    return found

  g = h - mean(h)
  deviation = np.sqrt(mean(g**2))
  assert (deviation < least).any() and (deviation > least).any()
  with jax.enable_x64(True):
    found = jax.jit(local.local_contrast_norm, static_argnums=(1, 2))(jnp.asarray(h), size, least)
  np.testing.assert_allclose(found, g / np.maximum(deviation, least), rtol=1e-9)


def test_a_stride_that_does_not_divide_is_refused():
  for side, field in ((7, 4), (8, 3)):
    with pytest.raises(ValueError, match="stride of 2"):
      local.windows(jnp.zeros((side, side, 1, 1)), field, 2)
