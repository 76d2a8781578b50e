import numpy as np
import pytest

from research.data import planted_faults
from research.data.planted_faults import TAGS, WRONG, plant, spoiled

pytestmark = pytest.mark.fast


@pytest.fixture
def planted():
  rng = np.random.default_rng(0)
  data = {
    "image": rng.integers(0, 256, (200, 28, 28, 1), dtype=np.uint8),
    "label": rng.integers(0, 10, 200).astype(np.int32),
  }
  return plant(data, 150, 0.2, 0.5, seed=3)


def test_only_images_with_a_fault_change_and_a_cure_undoes_just_its_own(planted):
  clean = spoiled(planted, TAGS)
  np.testing.assert_array_equal(clean["image"], planted.image)
  np.testing.assert_array_equal(clean["label"], planted.label)
  for tag in TAGS:
    alone = spoiled(planted, [other for other in TAGS if other != tag])
    differs = (alone["image"] != planted.image).any(axis=(1, 2, 3))
    differs |= alone["label"] != planted.label
    np.testing.assert_array_equal(differs, planted.tags[tag])
  whole, cured = spoiled(planted), spoiled(planted, ["noise"])
  same = ~planted.tags["noise"]
  np.testing.assert_array_equal(whole["image"][same], cured["image"][same])
  assert set(np.unique(whole["label"])) <= set(range(10))


def test_shares_are_drawn_between_the_bounds_and_by_the_seed_alone(planted):
  shares = [has_it.mean() for has_it in planted.tags.values()]
  assert list(planted.tags) == list(TAGS) and WRONG in TAGS
  assert 0.1 < min(shares) < max(shares) < 0.6 and len(set(shares)) > 1
  again = spoiled(planted)
  np.testing.assert_array_equal(again["image"], spoiled(planted)["image"])


def test_a_turn_is_one_of_60_degrees_to_the_left():
  image = np.zeros((1, 28, 28, 1), np.float32)
  image[0, 4:14, 13:15] = 1  # from the middle upwards
  found = planted_faults.turned(image, np.random.default_rng(0))
  rows, columns = np.nonzero(found[0, :, :, 0] > 0.5)
  up, left = 13.5 - rows.mean(), 13.5 - columns.mean()
  assert np.degrees(np.arctan2(left, up)) == pytest.approx(60, abs=5)
