"""Deconvolution by hand and occlusion of a square that alone matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.attribution import (
  deconvnet_relu,
  lead_back,
  occlusion_map,
  strongest_features,
)
from research.layers.pooling import max_pool
from research.models.deep_convnet import DeepConvNet


def test_the_signal_is_rectified_and_the_input_is_not_asked():
  x = jnp.array([-1.0, 2.0, -3.0, 4.0])
  value, back = jax.vjp(deconvnet_relu, x)
  np.testing.assert_array_equal(value, [0, 2, 0, 4])
  np.testing.assert_array_equal(back(jnp.array([5.0, -6.0, 7.0, -8.0]))[0], [5, 0, 7, 0])


def test_maxima_return_to_where_they_came_from():
  x = jax.random.uniform(jax.random.key(0), (2, 4, 6, 3))
  pooled, back = jax.vjp(max_pool, x)
  unpooled = back(pooled)[0]
  np.testing.assert_array_equal(max_pool(unpooled), pooled)
  np.testing.assert_array_equal(unpooled, jnp.where(unpooled > 0, x, 0))
  assert np.count_nonzero(unpooled) == pooled.size


def test_one_filter_is_painted_where_it_answers():
  kernel = jnp.array([[1.0, 2.0], [0.0, -3.0]])[..., None, None]
  conv = lambda x: jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  image = jnp.zeros((1, 5, 5, 1)).at[0, 2, 3, 0].set(1.0)
  painted = lead_back(lambda x: deconvnet_relu(conv(x)), image, 0)
  expected = np.zeros((5, 5))
  expected[2:4, 2:4] = 2 * np.array([[1.0, 2.0], [0.0, -3.0]])
  np.testing.assert_allclose(painted[0, ..., 0], expected)


@pytest.mark.slow
def test_an_activation_of_the_deep_convnet_is_led_back_into_its_receptive_field():
  model = DeepConvNet(width=2, hidden=4, activation=deconvnet_relu)
  images = jax.random.uniform(jax.random.key(0), (2, 28, 28, 1))
  variables = jax.jit(model.init)(jax.random.key(1), images)

  def maps(x):
    _, state = model.apply(variables, x, capture_intermediates=True, mutable="intermediates")
    return deconvnet_relu(state["intermediates"]["Conv_1"]["__call__"][0])

  pixels = jax.jit(lambda x: lead_back(maps, x, 1))(images)
  for image in np.asarray(pixels[..., 0]):
    rows, columns = np.nonzero(image)
    assert 1 <= np.ptp(rows) + 1 <= 5 and 1 <= np.ptp(columns) + 1 <= 5  # two 3x3 convolutions


def test_hiding_what_matters_lowers_the_score():
  image = jnp.zeros((6, 7, 1)).at[4, 1].set(1.0)
  found = occlusion_map(lambda x: x[:, 4, 1, 0], image, 2, 0.25)
  expected = np.ones((5, 6))
  expected[3:5, 0:2] = 0.25
  np.testing.assert_allclose(found, expected)
  assert float(found.min()) == pytest.approx(0.25)


def test_the_liveliest_feature_comes_first_with_the_images_that_excite_it_most():
  images = jnp.arange(1.0, 5)[:, None, None, None] * jnp.ones((4, 2, 2, 1))
  maps = lambda x: jnp.concatenate([x, 3 * x, 2 * x], axis=-1)
  shown, painted = strongest_features(maps, images, features=2, best=2)
  np.testing.assert_array_equal(shown[:, 0, 0, 0], [4, 3, 4, 3])
  np.testing.assert_array_equal(painted[:, 0, 0, 0], [36, 27, 16, 12])
