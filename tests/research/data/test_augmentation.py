import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.data import augmentation

KEY = jax.random.key(0)
IMAGE = jnp.zeros((7, 9, 1)).at[2, 3].set(1.0).at[2, 4].set(0.5)


def test_the_picture_moves_by_the_shift():
  moved = augmentation.affine(IMAGE, jnp.eye(2), jnp.array([2.0, -1.0]))
  np.testing.assert_allclose(moved[4, 2], 1, atol=1e-6)
  np.testing.assert_allclose(moved.sum(), 1.5, atol=1e-5)
  half = augmentation.affine(IMAGE, jnp.eye(2), jnp.array([0.0, 0.5]))
  np.testing.assert_allclose(half[2, 3:6, 0], [0.5, 0.75, 0.25], atol=1e-6)


def test_a_quarter_turn_is_numpys():
  square = jax.random.uniform(KEY, (5, 5, 2))
  turned = augmentation.affine(square, jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.zeros(2))
  matches = [np.allclose(turned, np.rot90(square, k), atol=1e-5) for k in (1, 3)]
  assert sum(matches) == 1


@pytest.mark.parametrize(
  "nothing",
  [
    augmentation.rotate(0.0),
    augmentation.shift(0.0),
    augmentation.scale(0.0),
    augmentation.elastic(0.0),
    augmentation.crop(0),
    augmentation.brightness(0.0),
    augmentation.one_after_another(),
  ],
)
def test_a_range_of_zero_changes_nothing(nothing):
  np.testing.assert_allclose(nothing(KEY, IMAGE), IMAGE, atol=1e-6)


def test_elastic_moves_neighbours_together_and_pixels_far_apart_by_themselves():
  # Ramps show where a pixel comes from: its new intensity is its old row or column.
  rows, columns = jnp.meshgrid(jnp.arange(64.0), jnp.arange(64.0), indexing="ij")
  ramps = jnp.stack([rows, columns], axis=-1)
  distorted = augmentation.augment(augmentation.elastic(20.0), KEY, jnp.repeat(ramps[None], 50, 0))
  moves = (np.asarray(distorted) - np.asarray(ramps))[:, 16:48, 16:48]
  at = lambda row, column: moves[:, row, column].ravel()
  correlation = lambda a, b: np.corrcoef(a, b)[0, 1]
  assert correlation(at(10, 10), at(10, 11)) > 0.9
  assert abs(correlation(at(10, 10), at(10, 31))) < 0.4  # 100 draws: 4 standard errors
  # A mean of uniforms: variance 1/3 times the sum of the squared weights, 1 / (4 pi reach^2).
  assert moves.std() == pytest.approx(20 * np.sqrt(1 / 3 / (4 * np.pi * 16)), rel=0.1)


def test_flip_mirrors_half_of_the_images():
  many = augmentation.augment(augmentation.flip(), KEY, jnp.repeat(IMAGE[None], 200, axis=0))
  mirrored = np.asarray(many[:, 2, 5, 0] == 1)
  assert 70 < mirrored.sum() < 130
  np.testing.assert_array_equal(many[mirrored][0], IMAGE[:, ::-1])


def test_crop_moves_by_whole_pixels_within_its_bound():
  many = np.asarray(
    augmentation.augment(augmentation.crop(2), KEY, jnp.repeat(IMAGE[None], 200, axis=0))
  )
  places = {tuple(np.argwhere(image[..., 0] == 1)[0]) for image in many}
  assert {row for row, _ in places} == {0, 1, 2, 3, 4}
  assert {column for _, column in places} == {1, 2, 3, 4, 5}


def test_brightness_and_size_change_what_they_say():
  bright = augmentation.augment(
    augmentation.brightness(0.5), KEY, jnp.full((100, 2, 2, 1), 0.4)
  ).reshape(100, -1)
  assert bright.min() >= 0.2 - 1e-6 and bright.max() <= 0.6 + 1e-6 and bright.std() > 0.05
  square = jnp.zeros((21, 21, 1)).at[7:14, 7:14].set(1.0)
  larger = augmentation.affine(square, jnp.eye(2) / 2, jnp.zeros(2))
  assert float(larger.sum()) == pytest.approx(4 * 49, rel=0.05)


def test_each_image_gets_its_own_draw_by_its_place():
  images = jnp.repeat(IMAGE[None], 4, axis=0)
  shifted = augmentation.augment(augmentation.shift(3.0), KEY, images)
  assert len(np.unique(np.asarray(shifted).reshape(4, -1), axis=0)) == 4
  alone = augmentation.augment(augmentation.shift(3.0), KEY, images[:2])
  np.testing.assert_allclose(alone, shifted[:2], atol=1e-6)
