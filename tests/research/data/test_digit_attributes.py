"""Questions about images of digits, and their answers."""

import numpy as np
import pytest

from research.data import digit_attributes

pytestmark = pytest.mark.fast


def line(columns_a_row, size=9):
  """Ink along a line that moves so many columns to the right from each row to the one above."""
  image = np.zeros((size, 28, 1), np.uint8)
  for row in range(size):
    image[row, round(14 - columns_a_row * (row - size // 2))] = 200
  return image


def test_the_slant_is_the_lines_and_does_not_depend_on_the_place_or_the_ink():
  images = np.stack([line(0), line(1), line(-1), line(1) // 2, np.roll(line(1), 3, axis=1)])
  np.testing.assert_allclose(digit_attributes.slant(images), [0, 1, -1, 1, 1], atol=1e-9)


def test_a_row_and_a_blank_image_have_no_slant():
  row = np.zeros((2, 8, 8, 1), np.uint8)
  row[0, 3] = 100
  np.testing.assert_array_equal(digit_attributes.slant(row), [0, 0])


def test_answers_are_those_of_the_digits():
  images = np.stack([line(0)] * 10)
  answers = digit_attributes.answers(images, np.arange(10), 1e9, 1e9)
  yes = dict(zip(digit_attributes.NAMES, answers.T, strict=True))
  assert not yes["bold"].any() and not yes["slanted"].any()
  assert np.flatnonzero(yes["even"]).tolist() == [0, 2, 4, 6, 8]
  assert np.flatnonzero(yes["above 4"]).tolist() == [5, 6, 7, 8, 9]
  assert np.flatnonzero(yes["prime"]).tolist() == [2, 3, 5, 7]
  assert np.flatnonzero(yes["multiple of 3"]).tolist() == [0, 3, 6, 9]


def test_half_of_the_training_images_are_bold_and_their_median_judges_the_test_images():
  shades = np.arange(1, 9, dtype=np.uint8)
  images = np.broadcast_to(shades[:, None, None, None] * 20, (8, 4, 4, 1))
  data = {"image": images, "label": np.zeros(8, int)}
  train, test = digit_attributes.asked(data, {"image": images[5:], "label": np.zeros(3, int)})
  bold = digit_attributes.NAMES.index("bold")
  assert train["answers"][:, bold].tolist() == [0] * 4 + [1] * 4
  assert test["answers"][:, bold].tolist() == [1, 1, 1]
  assert train["image"].shape == (8, 2, 2, 1) and train["image"][2, 0, 0, 0] == 60
