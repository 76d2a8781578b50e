"""Strips of digits: what they show, and into which pieces they are cut."""

import hashlib
import itertools

import numpy as np
import pytest

from research.data import digit_strips, sets, strip_pieces
from tests.fixtures.little_data import bars, replace_sets


@pytest.fixture(scope="module")
def made():
  return digit_strips.strips(*bars(40).values(), 3, np.arange(60))


def test_a_strip_depends_on_its_seed_and_number_alone(made):
  few = digit_strips.strips(*bars(40).values(), 3, np.array([17, 4]))
  for name, array in few.items():
    np.testing.assert_array_equal(array, made[name][[17, 4]])
  other = digit_strips.strips(*bars(40).values(), 4, np.arange(60))
  assert not np.array_equal(other["image"], made["image"])


def test_strips_are_the_same_everywhere(made):
  digest = hashlib.sha256(b"".join(made[name].tobytes() for name in sorted(made))).hexdigest()
  assert digest[:16] == "8294ca2130fb521a"


def test_a_strip_shows_its_digits_in_their_order(made):
  """Columns with 20 lit rows are a digit's; a scrap has 6."""
  for image, digits, length in zip(made["image"], made["digits"], made["length"], strict=True):
    assert (digits >= 0).sum() == length and (digits[length:] == -1).all()
    # A column's most frequent shade is its digit's, also where a scrap lies on it.
    shades = [np.bincount(column[column > 0]).argmax() for column in image[..., 0].T if any(column)]
    tall = [
      shade
      for shade, column in zip(shades, image[..., 0].T[image[..., 0].any(axis=0)], strict=True)
      if (column == shade).sum() >= 14
    ]
    seen = [tall[0]] + [b for a, b in itertools.pairwise(tall) if a != b]
    expected = [100 + 10 * d for d in digits[:length]]
    merged = expected[:1] + [b for a, b in itertools.pairwise(expected) if a != b]
    assert seen == merged


def test_all_lengths_and_digits_are_drawn(made):
  assert set(made["length"]) == {1, 2, 3, 4, 5}
  assert set(made["digits"].ravel()) == set(range(-1, 10))


def test_both_parts_are_of_their_own_digits(monkeypatch):
  replace_sets(monkeypatch, size=28)
  asked = []
  monkeypatch.setattr(
    digit_strips, "strips", lambda images, labels, *rest: asked.append(len(labels))
  )
  digit_strips.load("train", 3, 0)
  digit_strips.load("test", 3, 0)
  splits = sets.load("mnist")
  assert asked == [len(splits.train["label"]), len(splits.test["label"])]


def strip(*boxes):
  """A strip with ink from each of the (top, bottom, left, right), all belonging to it."""
  image = np.zeros((32, 96, 1), np.uint8)
  for top, bottom, left, right in boxes:
    image[top:bottom, left:right] = 200
  return image


@pytest.mark.parametrize(
  ("boxes", "count"),
  [
    ([(4, 24, 10, 20), (4, 24, 30, 44)], 2),  # apart
    ([(4, 24, 10, 20), (2, 8, 40, 46)], 1),  # a scrap
    ([(10, 24, 10, 24), (4, 7, 12, 22)], 1),  # a digit in two parts
    ([(4, 24, 10, 40)], 2),  # as wide as two
    ([(4, 24, 10, 57)], 3),
    ([(2, 8, 40, 46)], 0),
  ],
)
def test_pieces_are_as_many_as_digits(boxes, count):
  assert strip_pieces.cut(strip(*boxes)[None]).counts == [count]


def test_touching_digits_are_cut_where_there_is_least_ink():
  image = strip((4, 24, 10, 23), (12, 14, 23, 25), (4, 24, 25, 40))
  pieces, counts = strip_pieces.cut(image[None])
  assert counts == [2]
  first, second = (piece[..., 0].astype(bool).sum() for piece in pieces)
  assert (first, second) == (20 * 13, 2 * 2 + 20 * 15)


def test_a_digit_in_two_parts_keeps_both_and_pieces_go_from_left_to_right():
  image = strip((10, 24, 50, 64), (4, 7, 52, 62), (4, 24, 10, 20))
  pieces, _ = strip_pieces.cut(image[None])
  assert [int((piece > 0).sum()) for piece in pieces] == [200, 14 * 14 + 3 * 10]


def test_pieces_of_a_strip_that_is_cut_wrongly_have_no_label():
  one, two = strip((4, 24, 10, 20)), strip((4, 24, 10, 20), (4, 24, 30, 44))
  strips = {
    "image": np.stack([two, one, one]),
    "length": np.array([2, 2, 1]),
    "digits": np.array([[7, 3, -1], [5, 5, -1], [9, -1, -1]]),
  }
  found = strip_pieces.cut_and_labelled(strips)
  np.testing.assert_array_equal(found["label"], [7, 3, 9])
  assert [int((piece > 0).sum()) for piece in found["image"]] == [200, 280, 200]
