import hashlib

import jax
import numpy as np
import pytest

from research.data import scenes, seeded_numbers, sets, textures
from research.errors import UserError

DIGEST = "218748ab98f17401"
WORLD = scenes.World(32, 1, 4, 10, 18, clutter=2, is_colour=True)


def pool(stream=0, images=12):
  """Rings and bars of all levels, with margins."""
  rng = np.random.default_rng(3)
  drawn = np.zeros((images, 28, 28), np.uint8)
  for image in drawn:
    top, left = rng.integers(2, 10, 2)
    image[top : top + 14, left : left + 9] = rng.integers(0, 256, (14, 9))
    image[top + 4 : top + 8, left + 3 : left + 6] = 0
  return scenes.Pool(drawn, 1 + np.arange(images, dtype=np.int32) % 3, stream, ())


@pytest.fixture(scope="module")
def made():
  return scenes.make(WORLD, pool(), 0, 40)


def test_a_scene_depends_on_its_index_alone(made):
  later = scenes.make(WORLD, pool(), 0, 3, first=20)
  for one, part in zip(jax.tree.leaves(made), jax.tree.leaves(later), strict=True):
    np.testing.assert_array_equal(one[20:23], part)


def test_scenes_stay_what_they_are(made):
  bytes_ = b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in made[1][:6])
  assert hashlib.sha256(bytes_).hexdigest()[:16] == DIGEST


def pasted(image, size, place, canvas):
  """One layer, pixel by pixel."""
  layer, (height, width) = np.zeros((canvas, canvas), int), image.shape
  at = lambda u, side: min(max((2 * u + 1) * side - size, 0) * 128 // size, 256 * (side - 1))
  for u in range(size):
    for v in range(size):
      row, column = place[0] + u, place[1] + v
      if not (0 <= row < canvas and 0 <= column < canvas):
        continue
      (y, dy), (x, dx) = divmod(at(u, height), 256), divmod(at(v, width), 256)
      below, right = min(y + 1, height - 1), min(x + 1, width - 1)
      upper = int(image[y, x]) * (256 - dx) + int(image[y, right]) * dx
      lower = int(image[below, x]) * (256 - dx) + int(image[below, right]) * dx
      layer[row, column] = (upper * (256 - dy) + lower * dy) // 65536
  return layer


def painted(canvas, layer, colour):
  for row, column in np.argwhere(layer):
    level = layer[row, column]
    opacity = min(255, 4 * level)
    for channel in range(3):
      under, over = canvas[row, column, channel], colour[channel] * level // 255
      canvas[row, column, channel] = (over * opacity + under * (255 - opacity)) // 255


@pytest.mark.parametrize("number", range(6))
def test_scene_and_truth_are_those_pasted_by_hand(made, number):
  scene, drawn = jax.tree.map(lambda leaf: leaf[number], made)
  images, size = pool().images, WORLD.size
  canvas = np.array(textures.draw(jax.tree.map(np.asarray, scene.ground), size))
  for source, cut, side, place, tint in zip(*scene.pieces, strict=True):
    piece = images[source, cut[0] : cut[0] + 8, cut[1] : cut[1] + 8]
    painted(canvas, pasted(piece, side, place, size), tint)
  instance, mask = np.zeros((size, size), int), np.zeros((size, size), int)
  wholes = {}
  for k, label in enumerate(scene.label):
    if not label:
      assert not drawn.whole_box[k].any() and not drawn.box[k].any()
      continue
    layer = pasted(images[scene.source[k]], scene.size[k], scene.place[k], size)
    colour = list(scenes.COLOURS.values())[scene.colour[k]]
    painted(canvas, layer, [level * scene.brightness[k] // 255 for level in colour])
    wholes[k] = layer >= 32
    instance[wholes[k]], mask[wholes[k]] = k + 1, label
  np.testing.assert_array_equal(drawn.image, canvas)
  np.testing.assert_array_equal(drawn.instance, instance)
  np.testing.assert_array_equal(drawn.mask, mask)
  for k, whole in wholes.items():
    for box, there in ((drawn.box[k], instance == k + 1), (drawn.whole_box[k], whole)):
      rows, columns = np.nonzero(there)
      tight = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
      np.testing.assert_array_equal(box, tight if there.any() else (0, 0, 0, 0))
    np.testing.assert_allclose(drawn.visible[k], (instance == k + 1).sum() / whole.sum(), 1e-6)


def test_objects_are_whole_on_the_canvas_and_cover_little_of_each_other(made):
  scene, drawn = made
  assert set(np.count_nonzero(scene.label, axis=1)) == {1, 2, 3, 4}
  assert (scene.place >= 0).all() and (scene.place + scene.size[..., None] <= WORLD.size).all()
  assert np.median(drawn.visible[scene.label > 0]) > 0.9
  np.testing.assert_array_equal(drawn.label, scene.label)


def test_held_out_scenes_have_other_images_and_other_numbers(monkeypatch, made):
  part = lambda first: {
    "image": np.arange(first, first + 5, dtype=np.uint8)[:, None, None, None]
    * np.ones((1, 28, 28, 1), np.uint8),
    "label": np.arange(5),
  }
  splits = sets.Splits(part(0), {}, part(100))
  monkeypatch.setattr(sets, "load", lambda name: splits)
  names = ("mnist", "fashion_mnist")
  train, test = (scenes.load_pool(names, split) for split in ("train", "test"))
  assert not set(train.images.ravel()) & set(test.images.ravel())
  assert list(train.label) == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]
  assert len(train.names) == 21 and train.names[1] == "0"
  other = scenes.make(WORLD, pool(test.stream), 0, 40)[0]
  assert train.stream == pool().stream
  assert (other.size != made[0].size).mean() > 0.7


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"fewest": 0}, "0 to 4 objects"),
    ({"fewest": 5}, "5 to 4 objects"),
    ({"largest": 33}, "10 to 33 pixels on 32"),
    ({"smallest": 19}, "19 to 18 pixels"),
  ],
)
def test_a_world_that_cannot_be_is_refused(change, words):
  with pytest.raises(UserError, match=words):
    scenes.make(WORLD._replace(**change), pool(), 0, 1)
  with pytest.raises(UserError, match="count of at least 1"):
    scenes.make(WORLD, pool(), 0, 0)


def test_other_images_are_refused():
  with pytest.raises(UserError, match="28x28 grey images; digits has"):
    scenes.load_pool(("digits",))


def test_numbers_reach_both_ends_of_their_range_alike():
  ranges = {
    "first": seeded_numbers.Range((2000,), -1, 3),
    "rows": seeded_numbers.Range((500, 2), np.array([0, 10]), np.array([2, 11])),
  }
  drawn = seeded_numbers.integers(jax.random.key(0), ranges)
  counts = np.bincount(np.asarray(drawn["first"]) + 1)
  assert len(counts) == 4 and counts.min() > 430
  assert set(np.asarray(drawn["rows"])[:, 0]) == {0, 1}
  assert set(np.asarray(drawn["rows"])[:, 1]) == {10}
