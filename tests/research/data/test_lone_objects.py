import numpy as np
import pytest

from research.data import lone_objects
from research.data.lone_objects import World
from research.errors import UserError
from tests.fixtures.little_data import replace_digits


def test_objects_are_whole_and_near_the_middle(monkeypatch):
  replace_digits(monkeypatch)
  world = World(smallest=28, largest=28, size=36, moved=3, digit=4)
  image, is_class = lone_objects.make(world, "test", seed=0, count=60)
  assert image.shape == (60, 36, 36, 1) and 0.2 < is_class.mean() < 0.5
  for one, is_digit in zip(image[..., 0], is_class, strict=True):
    rows, columns = (np.flatnonzero(one.any(axis=axis)) for axis in (1, 0))
    assert len(rows) == 20 and len(columns) == 6, "a bar of the fixture, whole"
    assert 4 + 4 - 3 <= rows[0] <= 4 + 4 + 3 and 4 + 11 - 3 <= columns[0] <= 4 + 11 + 3
    assert not is_digit or one.max() == 140


def test_images_are_a_function_of_seed_and_part(monkeypatch):
  replace_digits(monkeypatch)
  made = lambda split, seed: lone_objects.make(World(), split, seed, 8).image
  np.testing.assert_array_equal(made("train", 1), made("train", 1))
  assert (made("train", 1) != made("train", 2)).any()
  assert (made("train", 1) != made("test", 1)).any()


def test_objects_that_do_not_fit_are_refused():
  with pytest.raises(UserError, match="at least 38 pixels"):
    lone_objects.make(World(largest=32), "test", 0, 1)
