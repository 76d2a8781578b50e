"""Boxes on images stand where their rows and columns are."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from research.figures.boxes import Boxed, boxes_on_images
from tests.fixtures import legible

pytestmark = pytest.mark.fast


def test_boxes_enclose_their_pixels_and_have_their_words():
  images = np.zeros((2, 20, 20), np.uint8)
  there = [Boxed(np.array([[2, 3, 8, 11]]), ["7"]), Boxed(np.zeros((0, 4)), [])]
  two = [Boxed(np.array([[12, 1, 18, 5], [0, 0, 4, 4]]), ["1", "2"])] * 2
  rows = {"truth": there, "found": two}
  picture = boxes_on_images(images, rows, title="Boxes", caption="What there is, what is found.")
  panels = np.array(picture.figure.axes).reshape(2, 2)
  frames = [[p for p in axes.patches if isinstance(p, Rectangle)] for axes in panels.flat]
  assert [len(own) for own in frames] == [1, 0, 2, 2]
  assert frames[0][0].get_bbox().extents.tolist() == [2.5, 1.5, 10.5, 7.5]
  assert [text.get_text() for text in panels[1, 0].texts] == ["1", "2"]
  assert panels[0, 0].get_ylabel() == "truth"
  assert not legible.problems(picture.figure)
