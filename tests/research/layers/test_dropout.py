import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers.batch_axis import BATCH_AXIS
from research.layers.dropout import Dropout, dropout

KEY = jax.random.key(3)


def test_a_traced_rate_of_zero_is_an_exact_identity():
  x = jax.random.normal(KEY, (4, 5))
  np.testing.assert_array_equal(jax.jit(dropout)(KEY, x, 0.0), x)


def test_kept_units_are_scaled_and_the_mean_is_kept():
  y = jax.jit(dropout)(KEY, jnp.ones((200, 100)), 0.25)
  assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
  assert abs(float(y.mean()) - 1) < 0.01


def test_rate_one_gives_zeros_and_zero_gradients():
  y, gradient = jax.value_and_grad(lambda x: dropout(KEY, x, 1.0).sum())(jnp.ones((2, 3)))
  assert y == 0
  np.testing.assert_array_equal(gradient, jnp.zeros((2, 3)))


def test_one_program_for_all_rates():
  compiled = jax.jit(lambda rate: dropout(KEY, jnp.ones((2, 3)), rate))
  for rate in (0.1, 0.5, 0.9):
    compiled(rate)
  assert compiled._cache_size() == 1


def test_a_mask_depends_on_the_position_only():
  x = jnp.ones((6, 50))
  whole = dropout(KEY, x, 0.5)
  np.testing.assert_array_equal(dropout(KEY, jnp.ones((8, 50)), 0.5)[:6], whole)
  parts = jax.vmap(lambda x: dropout(KEY, x, 0.5), axis_name=BATCH_AXIS)(x.reshape(3, 2, 50))
  np.testing.assert_array_equal(parts.reshape(6, 50), whole)
  assert not np.array_equal(whole[0], whole[1])


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_layer_does_nothing_in_evaluation_and_needs_no_key(rate):
  x = jnp.ones((2, 3))
  np.testing.assert_array_equal(Dropout(rate).apply({}, x, train=False), x)


def test_the_layer_draws_from_its_stream_while_training():
  x = jnp.ones((2, 100))
  y = jax.jit(lambda rate: Dropout(rate).apply({}, x, train=True, rngs={"dropout": KEY}))(0.5)
  assert 0 < int((y == 0).sum()) < 200
