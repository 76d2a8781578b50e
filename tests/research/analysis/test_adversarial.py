"""Attacks on linear models, where the answers are known, and within their bounds on others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis import adversarial

KERNEL = jax.random.normal(jax.random.key(0), (16, 3))
IMAGES = jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def linear(images):
  return images.reshape(len(images), -1) @ KERNEL


LABELS = jnp.argmax(linear(IMAGES), axis=-1)


def test_distortion_is_the_root_of_the_mean_square():
  changed = jnp.zeros((1, 2, 2, 1)).at[0, 0, 0, 0].set(0.6)
  assert adversarial.distortion(jnp.zeros((1, 2, 2, 1)), changed)[0] == pytest.approx(0.3)


def test_the_fast_gradient_sign_moves_every_pixel_and_stays_in_the_box():
  changed = adversarial.fast_gradient_sign(linear, IMAGES, LABELS, 0.1)
  inside = (IMAGES > 0.1) & (IMAGES < 0.9)
  np.testing.assert_allclose(jnp.abs(changed - IMAGES)[inside], 0.1, atol=1e-6)
  assert changed.min() >= 0 and changed.max() <= 1


def test_many_steps_deceive_no_less_than_one_and_go_no_further():
  curved = lambda x: jnp.tanh(3 * linear(x)) @ jnp.array([[1.0, -2, 0], [0, 1, 2], [-1, 1, 1]])
  labels = jnp.argmax(curved(IMAGES), axis=-1)
  loss = lambda x: -jnp.mean(jax.nn.log_softmax(curved(x))[jnp.arange(6), labels])
  one = adversarial.fast_gradient_sign(curved, IMAGES, labels, 0.2)
  many = adversarial.projected_gradient(curved, IMAGES, labels, 0.2)
  assert loss(many) > loss(one) > loss(IMAGES)
  assert jnp.abs(many - IMAGES).max() <= 0.2 + 1e-6


def test_without_a_box_the_nearest_is_the_foot_of_the_perpendicular():
  """Two classes, so that the boundary is one plane; its closed form is matched to 1 %."""
  two = lambda x: linear(x)[:, :2]
  labels = jnp.argmax(two(IMAGES), axis=-1)
  found = adversarial.nearest_taken_for(two, IMAGES, 1 - labels, box=None, halvings=14)
  for image, label, changed in zip(IMAGES, labels, found, strict=True):
    weights = KERNEL[:, label] - KERNEL[:, 1 - label]
    expected = adversarial.nearest_on_the_other_side(image.ravel(), weights, jnp.float32(0))
    assert weights @ expected == pytest.approx(0, abs=1e-5)
    distance = np.linalg.norm(changed.ravel() - image.ravel())
    assert distance == pytest.approx(np.linalg.norm(expected - image.ravel()), rel=0.01)


def test_within_the_box_all_are_taken_for_their_targets():
  targets = (LABELS + 1) % 3
  found = adversarial.nearest_taken_for(linear, IMAGES, targets, halvings=3)
  deceived = ~np.isnan(found).any(axis=(1, 2, 3))
  assert deceived.sum() >= 4  # a corner of the box may lie on the wrong side
  np.testing.assert_array_equal(jnp.argmax(linear(found), axis=-1)[deceived], targets[deceived])
  assert np.nanmin(found) >= -1e-6 and np.nanmax(found) <= 1 + 1e-6


def test_a_steep_first_gradient_does_not_lead_to_where_nothing_has_a_slope():
  """The first class wins within a band only, beyond which the logits are flat, and less bad."""
  along = KERNEL[:, 0] / jnp.linalg.norm(KERNEL[:, 0])
  grey = jnp.full((1, 4, 4, 1), 0.5)
  way = lambda x: (x - grey).reshape(len(x), -1) @ along
  hump = lambda way: 30 * way * jnp.exp(-8 * way**2) + 2 * jnp.tanh(8 * way)
  band = lambda x: jnp.stack([hump(way(x)), jnp.full(len(x), 3.0)], axis=1)
  found = adversarial.nearest_taken_for(band, grey, jnp.array([0]), halvings=1)
  assert hump(way(jnp.asarray(found))) > 3


def test_what_cannot_be_deceived_is_nan():
  stubborn = lambda x: jnp.zeros((len(x), 2)).at[:, 0].set(1.0) + 0 * x.sum()
  found = adversarial.nearest_taken_for(stubborn, IMAGES[:1], jnp.array([1]), halvings=1)
  assert np.isnan(found).all()


def test_changes_are_scaled_to_a_distortion():
  changes = adversarial.with_distortion(IMAGES - 0.5, 0.1)
  np.testing.assert_allclose(adversarial.distortion(0 * changes, changes), 0.1, rtol=1e-5)


def test_the_error_is_the_share_of_other_answers():
  assert adversarial.error(linear, IMAGES, LABELS) == 0
  assert adversarial.error(linear, IMAGES, LABELS.at[0].add(1)) == pytest.approx(1 / 6)
