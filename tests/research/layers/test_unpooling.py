import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from research.layers.unpooling import max_pool_with_places, unpool

pytestmark = pytest.mark.fast

round_trip = jax.jit(lambda x: unpool(*max_pool_with_places(x)))


@given(arrays.arrays(np.float32, (2, 4, 6, 2), elements=st.integers(-3, 3).map(float)))
def test_what_is_put_back_is_each_windows_first_maximum_in_its_place(x):
  wanted = np.zeros_like(x)
  for batch, row, column, channel in np.ndindex(2, 2, 3, 2):
    window = x[batch, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
    y, z = divmod(int(window.argmax()), 2)
    wanted[batch, 2 * row + y, 2 * column + z, channel] = window[y, z]
  np.testing.assert_array_equal(round_trip(x), wanted)

  x = jax.random.permutation(jax.random.key(0), jnp.arange(64.0)).reshape(1, 4, 4, 4)
  weights = jax.random.normal(jax.random.key(1), x.shape)
  value = lambda x: jnp.sum(weights * round_trip(x) ** 2) / 64
  found, eps = jax.grad(value)(x), 0.25
  for place in [(0, 0, 0, 0), (0, 1, 2, 3), (0, 3, 3, 1), (0, 2, 1, 2)]:
    step = jnp.zeros_like(x).at[place].set(eps)
    slope = (value(x + step) - value(x - step)) / (2 * eps)
    np.testing.assert_allclose(found[place], slope, atol=2e-3)
  assert (found == 0).sum() >= 48 and (found != 0).sum() >= 12
