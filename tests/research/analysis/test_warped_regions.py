"""Warped regions: what they show, what they overlap, and what becomes of them as detections."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from research.analysis.detection import Objects
from research.analysis.warped_regions import Regions, detections, regions_of, warp

pytestmark = pytest.mark.fast
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 24)).astype(np.uint8)


def test_a_box_of_the_right_size_is_cut_out_with_its_rim():
  warped = warp(IMAGE, np.array([[5, 6, 13, 14]]), size=12, rim=2)
  np.testing.assert_array_equal(warped[0, :, :, 0], IMAGE[3:15, 4:16])


def test_outside_of_the_image_is_its_mean():
  warped = warp(IMAGE, np.array([[0, 0, 8, 8]]), size=12, rim=2)[0, :, :, 0]
  np.testing.assert_array_equal(warped[2:, 2:], IMAGE[:10, :10])
  assert set(warped[:2].ravel()) | set(warped[:, :2].ravel()) == {np.rint(IMAGE.mean())}


@given(st.integers(0, 2**16))
@settings(deadline=None, max_examples=20)
def test_warping_is_scipys_interpolation(seed):
  rng = np.random.default_rng(seed)
  top, left = rng.integers(0, 12, 2)
  height, width = rng.integers(1, 9, 2)
  warped = warp(IMAGE, np.array([[top, left, top + height, left + width]]), size=10, rim=1)
  place = (np.arange(10) + 0.5 - 1) / 8
  at = np.meshgrid(top + place * height - 0.5, left + place * width - 0.5, indexing="ij")
  mean = IMAGE.mean()
  wide = np.pad(IMAGE.astype(float), 3, constant_values=mean)
  slow = scipy.ndimage.map_coordinates(wide, [axis + 3 for axis in at], order=1, cval=mean)
  np.testing.assert_allclose(warped[0, :, :, 0], slow, atol=0.51)


TRUTH = Objects(
  np.array([0, 0, 1]), np.array([2, 1, 2]), np.array([[0, 0, 10, 10], [8, 8, 18, 18], [0, 0, 8, 8]])
)
PROPOSALS = [np.array([[0, 0, 10, 5], [10, 0, 20, 5]]), np.array([[4, 0, 8, 8]])]


def made(with_truth):
  return regions_of(np.stack([IMAGE, IMAGE]), TRUTH, PROPOSALS, 3, with_truth, size=8, rim=1)


def test_regions_know_what_they_overlap():
  found = made(with_truth=False)
  assert found.image.tolist() == [0, 0, 1] and found.label.tolist() == [2, 0, 2]
  np.testing.assert_allclose(found.overlap, [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.5]])
  assert found.nearest[[0, 2]].tolist() == TRUTH.box[[0, 2]].tolist()
  assert not found.is_truth.any()
  np.testing.assert_array_equal(found.warped[2], warp(IMAGE, PROPOSALS[1], 8, 1)[0])


def test_true_boxes_are_regions_to_learn_from():
  found = made(with_truth=True)
  assert found.is_truth.tolist() == [True, True, False, False, True, False]
  assert found.label[found.is_truth].tolist() == TRUTH.label.tolist()
  np.testing.assert_allclose(found.overlap[0], [0, 4 / 196, 1])


def test_suppression_goes_by_image_and_class():
  box = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10]], float)
  nothing = made(with_truth=False)
  regions = Regions(np.array([0, 0, 1]), box, *nothing[2:])
  scores = np.array([[0.5, 2.0], [1.0, 1.0], [0.1, 0.2]])
  boxes = np.repeat(box[:, None], 2, axis=1)
  found = detections(regions, scores, boxes, 0.3)
  kept = sorted(zip(found.image.tolist(), found.label.tolist(), found.score.tolist(), strict=True))
  assert kept == [(0, 1, 1.0), (0, 2, 2.0), (1, 1, 0.1), (1, 2, 0.2)]
  assert len(detections(regions, scores, boxes, None).score) == 6
