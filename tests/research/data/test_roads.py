import jax
import numpy as np
import pytest

from research.data import roads
from research.errors import UserError


@pytest.fixture(scope="module")
def made():
  return roads.make(0, 200, "test")


def class_at(road, row, column):
  """The class of one pixel, by plain numbers."""
  found = ground_at(road, row, column)
  for label, base, across, scale in zip(*[leaf.tolist() for leaf in road.things[:4]], strict=True):
    depth, middle = line_at(road, base)
    foot = (middle + road.half * depth * across // 64) // 64
    size = max(2, road.half * depth * scale // 4096)
    up, aside = base - row, abs(column - foot)
    if label == roads.CAR:
      wide = max(2, size * 9 // 32)
      high = max(2, wide * 7 // 8)
      is_body = 0 <= up < high and aside <= wide
      is_cabin = high <= up < 2 * high - 1 and aside * 4 + (up - high) * 2 <= wide * 4
      found = label if is_body or is_cabin else found
    elif label == roads.TREE:
      high, broad, along = size * 3 // 4 + 2, size * 7 // 16 + 2, size * 5 // 8 + 3
      is_trunk = 0 <= up < high and aside <= size // 10
      middle = up - high - along * 3 // 4
      is_crown = (aside * along) ** 2 + (middle * broad) ** 2 <= (broad * along) ** 2
      found = label if is_trunk or is_crown else found
  return found


def line_at(road, row):
  depth = max(0, row - road.horizon) * 64 // (63 - road.horizon)
  straight = road.vanish * (64 - depth) + road.middle * depth
  return depth, straight + 4 * road.bend * depth * (64 - depth) // 64


def ground_at(road, row, column):
  if row <= road.horizon:
    return roads.SKY
  depth, middle = line_at(road, row)
  half, off = road.half * depth, 64 * column - middle
  if abs(off) > half:
    return roads.GRASS
  lines = [half * 7 // 8, -half * 7 // 8]
  if (900 // (row - road.horizon) + road.phase) // 8 % 2 == 0:
    lines += [0] if road.lanes == 2 else [half * 7 // 24, -half * 7 // 24]
  is_marked = any(abs(off - line) <= max(24, half // 20) for line in lines)
  return roads.MARKING if is_marked else roads.ROAD


@pytest.mark.parametrize("number", range(8))
def test_every_pixel_has_the_class_found_by_hand(made, number):
  road, drawn = jax.tree.map(lambda leaf: leaf[number], made)
  plain = jax.tree.map(lambda leaf: leaf.item() if leaf.ndim == 0 else leaf, road)
  slow = [[class_at(plain, row, column) for column in range(64)] for row in range(64)]
  np.testing.assert_array_equal(drawn.mask, slow)


def test_a_scene_depends_on_its_index_alone(made):
  later = roads.make(0, 5, "test", first=7)
  for one, part in zip(jax.tree.leaves(made), jax.tree.leaves(later), strict=True):
    np.testing.assert_array_equal(one[7:12], part)
  assert (roads.make(0, 5, "train", first=7)[1].image != later[1].image).any()


def test_all_classes_are_there_and_look_like_themselves(made):
  image, mask = made[1].image.astype(int), made[1].mask
  shares = np.bincount(mask.ravel(), minlength=6) / mask.size
  assert len(shares) == len(roads.CLASSES) and shares.min() > 0.02 and shares.max() < 0.5
  mean = {name: image[mask == k].mean(axis=0) for k, name in enumerate(roads.CLASSES)}
  assert mean["sky"].argmax() == 2 and mean["grass"].argmax() == mean["tree"].argmax() == 1
  assert mean["marking"].min() > mean["road"].max()
  assert np.ptp(mean["road"]) < 5


def test_the_far_things_come_first(made):
  assert (np.diff(made[0].things.base, axis=1) >= 0).all()


def test_none_is_refused():
  with pytest.raises(UserError, match="count of at least 1"):
    roads.make(0, 0)
