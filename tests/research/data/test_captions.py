import hashlib
import itertools

import numpy as np
import pytest

from research.data import captions, scenes
from research.data.captions import Thing

DIGEST = "b9e6a03d1fd1d43b"


def pool(stream=1):
  """A bar of full brightness for each kind of object."""
  images = np.zeros((len(captions.NOUNS), 28, 28), np.uint8)
  images[:, 4:24, 10:18] = 255
  return scenes.Pool(images, np.arange(1, len(images) + 1), stream, ())


@pytest.fixture(scope="module")
def made():
  return captions.make(pool(), 0, 60)


def spoken(sentences):
  return [" ".join(words) for words in sentences]


def test_scenes_and_sentences_stay_what_they_are(made):
  text = "\n".join(spoken(itertools.chain(*made.references)))
  content = made.images.tobytes() + text.encode()
  assert hashlib.sha256(content).hexdigest()[:16] == DIGEST


def test_a_scene_depends_on_its_number_alone(made):
  few = captions.make(pool(), 0, 3)
  np.testing.assert_array_equal(few.images, made.images[:3])
  assert few.references == made.references[:3] and few.things == made.things[:3]


def test_every_sentence_names_all_that_is_there_and_is_read_back(made):
  known = captions.words()
  for things, sentences in zip(made.things, made.references, strict=True):
    assert len(sentences) == 5 == len(set(spoken(sentences)))
    for sentence in sentences:
      assert captions.parse(sentence) == things
      assert known.decode(known.encode(sentence)) == sentence


def test_targets_are_whole_sentences_between_their_marks():
  things = [Thing(noun, noun % 8, noun % 4) for noun in range(14)]
  longest = [things[start : start + 3] for start in range(12)] * 30
  sentences = [captions.references(own, [number]) for number, own in enumerate(longest)]
  made = captions.Captioned(np.zeros((0,)), longest, sentences)
  targets, known = captions.targets(made), captions.words()
  assert targets.shape == (360, captions.LONGEST) and (targets[:, 0] == 1).all()
  assert [known.decode(row) for row in targets] == [own[0] for own in sentences]
  assert max(len(words) for own in sentences for words in own) == captions.LONGEST - 2


def test_every_combination_is_said_and_read_back():
  things = [Thing(*each) for each in itertools.product(range(14), range(8), range(4))]
  for number, thing in enumerate(things):
    for sentence in captions.references([thing], [number]):
      assert captions.parse(sentence) == [thing]


def bright_pixels(image, hue):
  """Pixels of a colour that are brighter than any ground."""
  colour = np.array(list(scenes.COLOURS.values())[hue], float)
  across = image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1)
  return (across @ colour / np.linalg.norm(colour) > 0.999) & (image.max(axis=-1) > 110)


def test_objects_lie_where_they_are_said_to_be(made):
  for image, things in zip(made.images.astype(float), made.things, strict=True):
    assert len({thing.quarter for thing in things}) == len(things) in (2, 3)
    assert [thing.quarter for thing in things] == sorted(thing.quarter for thing in things)
    for thing in things:
      alike = bright_pixels(image, thing.hue)
      quarters = [alike[r : r + 24, c : c + 24].sum() for r in (0, 24) for c in (0, 24)]
      assert quarters[thing.quarter] >= 40


def test_held_out_combinations_are_in_the_unseen_scenes_alone(made):
  is_held_out = lambda thing: thing.hue == captions.held_out(thing.noun)
  assert not any(is_held_out(thing) for things in made.things for thing in things)
  unseen = captions.make(pool(), 0, 60, is_unseen=True)
  assert all(sum(map(is_held_out, things)) == 1 for things in unseen.things)
  left = {
    (thing.noun, thing.hue) for things in captions.make(pool(), 0, 600).things for thing in things
  }
  assert len(left) == 14 * 7
  assert len({captions.held_out(noun) for noun in range(14)}) == 8


@pytest.mark.parametrize(
  ("sentence", "found"),
  [
    (
      "in the upper left a red three and an orange 5 at the bottom right",
      [Thing(3, 1, 0), Thing(5, 6, 3)],
    ),
    ("red trousers , a cyan gown", [Thing(10, 1), Thing(11, 7)]),
    ("a boot in the left", [Thing(13)]),
    ("we see", []),
  ],
)
def test_sentences_of_other_forms_are_read(sentence, found):
  assert captions.parse(sentence.split()) == found


def test_words_have_their_articles():
  text = " ".join(
    spoken(captions.references([Thing(10, 6, 0), Thing(1, 6, 1), Thing(9, 1, 2)], [0]))
  )
  assert "an orange one" in text and "a red nine" in text and "an orange trousers" not in text


def test_what_lies_in_the_quarters_is_what_is_spoken_of():
  made = captions.make(pool(), 0, 300)
  by_quarter = captions.quarters(made)
  noun, hue = by_quarter["noun"], by_quarter["hue"]
  assert set(noun.ravel()) == set(range(15)) and set(hue[noun > 0]) == set(range(8))
  assert (hue != captions.held_out(noun - 1))[noun > 0].all()
  half = captions.WORLD.size // 2
  for scene, quarter in np.argwhere(noun > 0)[:100]:
    row, column = divmod(quarter, 2)
    image = made.images[scene, row * half : (row + 1) * half, column * half : (column + 1) * half]
    assert bright_pixels(image.astype(float), hue[scene, quarter]).sum() >= 20
    assert Thing(noun[scene, quarter] - 1, hue[scene, quarter], quarter) in made.things[scene]
