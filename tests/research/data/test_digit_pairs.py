"""Strips of two digits: what they show, and into which pieces they are cut."""

import numpy as np
import pytest

from research.data import digit_pairs
from tests.fixtures.little_data import bars, replace_digits

pytestmark = pytest.mark.fast


def test_a_strip_shows_its_digits_at_their_places_and_the_darker_ink():
  shares = np.array([[0.12, 0.38, 0.0, 0.0], [0.38, 0.12, 0.999, 0.999]])
  made = digit_pairs.strips(*bars(8).values(), shares)  # bars of 6 columns, 11 from the edge
  np.testing.assert_array_equal(made["digits"], [[0, 3], [3, 0]])
  np.testing.assert_array_equal(made["label"], [3, 3])
  assert made["image"].shape == (2, 14, 24, 1)
  row = made["image"][:, 6, :, 0]
  near = [0] * 5 + [50, 100, 100, 50, 0] + [130] * 3 + [0] * 11
  np.testing.assert_array_equal(row[0], near)
  far = [0] * 7 + [65, 130, 130, 65] + [0] * 3 + [50, 100, 100, 50] + [0] * 6
  assert row[1].nonzero()[0].tolist() == np.nonzero(far)[0].tolist()


def test_where_digits_overlap_the_darker_ink_is_seen(monkeypatch):
  monkeypatch.setattr(digit_pairs, "STEPS", (2, 2))
  made = digit_pairs.strips(*bars(8).values(), np.array([[0.9, 0.0, 0.0, 0.0]]))
  ink = made["image"][0, 6, :, 0]
  assert ink.max() == 170 and (ink == 170).sum() == 2


def test_fewer_strips_are_the_first_of_more_and_seeds_differ(monkeypatch):
  replace_digits(monkeypatch)
  few, more = (digit_pairs.load("train", count, 3) for count in (5, 20))
  for name, array in few.items():
    np.testing.assert_array_equal(array, more[name][:5])
  other = digit_pairs.load("train", 5, 4)
  assert (other["image"] != few["image"]).any()


def strip(*columns):
  """One strip with ink of the given heights in the columns from the fourth on."""
  image = np.zeros((1, 14, 24, 1), np.uint8)
  for place, height in enumerate(columns, start=4):
    image[0, :height, place] = 200
  return image


@pytest.mark.parametrize(
  ("columns", "left", "right"),
  [
    ((9, 9, 9, 9, 0, 7, 7, 7, 7), [9] * 4, [7] * 4),  # a gap
    ((9, 9, 9, 1, 7, 7, 7, 7, 7), [9] * 3, [1] + [7] * 5),  # a bridge goes to the right
    ((9,) * 8, [9] * 4, [9] * 4),  # the nearest of equals
  ],
)
def test_a_strip_is_cut_where_there_is_least_ink(columns, left, right):
  pieces = digit_pairs.pieces(strip(*columns))
  assert pieces.shape == (1, 2, 14, 16, 1)
  for piece, heights in zip(pieces[0], (left, right), strict=True):
    ink = (piece[..., 0] > 0).sum(axis=0)
    assert ink[ink > 0].tolist() == heights
    there = ink.nonzero()[0]
    assert abs(there[0] + there[-1] - 15) <= 2  # in the middle, but for the gap beside it


def test_no_ink_beside_the_middle_is_cut_off_and_a_blank_strip_has_blank_pieces():
  image = strip(*[5] * 16)
  pieces = digit_pairs.pieces(image)
  assert pieces.sum(dtype=int) == image.sum(dtype=int)
  assert not digit_pairs.pieces(np.zeros_like(image)).any()
