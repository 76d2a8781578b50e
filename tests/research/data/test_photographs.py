"""Photographs that come with a package, and files of the user's own."""

import numpy as np
import PIL.Image
import pytest

from research.data import photographs
from research.errors import UserError

pytestmark = pytest.mark.fast


def test_those_that_are_shipped_are_squares_of_any_size():
  for name in photographs.SHIPPED:
    found = photographs.load(name, 24)
    assert found.shape == (24, 24, 3) and found.dtype == np.uint8 and found.std() > 20


def test_a_file_is_cut_to_its_middle_and_read_again_when_it_has_changed(tmp_path):
  file = tmp_path / "own.png"
  pixels = np.zeros((4, 8, 3), np.uint8)
  pixels[:, 2:6] = 200
  PIL.Image.fromarray(pixels).save(file)
  np.testing.assert_array_equal(photographs.load(str(file), 4), 200)
  PIL.Image.fromarray(pixels // 2).save(file)
  np.testing.assert_array_equal(photographs.load(str(file), 4), 100)


def test_what_is_no_picture_is_refused(tmp_path):
  (tmp_path / "words.png").write_text("words")
  with pytest.raises(UserError, match="no image that can be read"):
    photographs.load(str(tmp_path / "words.png"), 8)
  with pytest.raises(UserError, match="there is no picture chine; give china or flower"):
    photographs.load("chine", 8)
