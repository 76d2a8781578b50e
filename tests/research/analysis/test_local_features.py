import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis import local_features
from research.data.lone_objects import Objects
from research.models.local_autoencoder import LocalAutoencoder, Stage

PARTS = 4


@pytest.fixture(scope="module")
def net():
  """A network of one stage whose pools and averages reach beyond the next part, and images."""
  model = LocalAutoencoder((Stage(4, 1, 2, pool=3, norm=7),), scale=1.0)
  x = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
  return model, jax.jit(model.init)(jax.random.key(1), x)["params"], x


def test_parts_by_location_have_the_gradient_of_the_whole(net):
  assert local_features.error_in_parts(net[0], PARTS, *net[1:]) < 1e-12


def test_bytes_that_a_part_sends_are_those_of_its_borders(net):
  model, params, x = net
  columns, batch, floats = 8, 3, 4
  fields = 1 + 2  # rows of pixels above and below that a field of 4 sees
  forward = 2 * fields * columns * batch  # the images, and back what is reconstructed there
  pools = 2 * columns * 2 * batch
  moved = local_features.border_bytes(model, PARTS, params, x)
  # The gradient goes the same ways back; contrast is normalised for the stage above, here for none.
  assert moved >= floats * (forward + pools)
  assert moved <= floats * 3 * (forward + 2 * pools + 12 * columns * batch)


def test_neurons_are_in_the_order_of_the_sub_layers(net):
  model, params, x = net
  (found,) = jax.jit(local_features.neurons(model, params))(x)
  (stage,) = jax.jit(model.apply)({"params": params}, x).responses
  expected = np.concatenate([np.reshape(part, (-1, 3)) for part in stage]).T
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  one = local_features.response(model, params, 0, 130)(x)
  np.testing.assert_allclose(one, expected[:, 130], rtol=1e-5)


def test_best_filter_is_of_either_sign_and_blind_to_brightness():
  rng = np.random.default_rng(0)
  template = rng.normal(size=(8, 8, 1))
  is_class = np.arange(40) % 3 == 0
  sign = np.where(is_class, -1.0, 1.0)[:, None, None, None]
  objects = Objects(sign * template + rng.normal(size=(40, 1, 1, 1)), is_class)
  assert local_features.best_filter(template[None], objects, jnp.asarray).accuracy == 1


def test_images_of_equal_contrast_have_no_mean_and_length_1():
  images = jnp.asarray(np.random.default_rng(0).normal(3, 5, size=(4, 8, 8, 1)))
  found = np.asarray(local_features.of_equal_contrast(images)).reshape(4, -1)
  np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
