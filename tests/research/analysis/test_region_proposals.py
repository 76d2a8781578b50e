"""Segmentation and grouping, each equal to slow code that keeps sets of pixels."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree

from research.analysis import region_proposals

pytestmark = pytest.mark.fast
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def slow_edges(image):
  height, width = image.shape
  edges = []
  for down, right in STEPS:
    for y, x in itertools.product(range(height - down), range(width)):
      begin = (y, x)
      end = (y + down, x + right)
      if (down, right) == (1, -1):  # counted from the left pixel, as the rows are
        begin, end = (y, x + 1), (y + 1, x)
      if end[1] < width and begin[1] < width:
        edges.append((abs(image[begin] - image[end]), begin, end))
  return sorted(edges, key=lambda edge: edge[0])  # stable


def heaviest_of_tree(component, edges):
  places = {pixel: n for n, pixel in enumerate(sorted(component))}
  weights = np.zeros((len(places),) * 2)
  for weight, begin, end in edges:
    if begin in places and end in places:
      weights[places[begin], places[end]] = weight + 1  # a zero would be no edge
  tree = minimum_spanning_tree(weights)
  return tree.data.max() - 1 if tree.nnz else 0.0


def slow_segment(image, scale, smallest):
  edges = slow_edges(scipy.ndimage.gaussian_filter(image.astype(float), 0.8))
  pixels = itertools.product(*map(range, image.shape))
  component = {pixel: frozenset([pixel]) for pixel in pixels}

  def join(begin, end):
    both = component[begin] | component[end]
    component.update(dict.fromkeys(both, both))

  for weight, begin, end in edges:
    parts = component[begin], component[end]
    if parts[0] != parts[1]:
      limit = min(heaviest_of_tree(part, edges) + scale / len(part) for part in parts)
      if weight <= limit + 1e-9:
        join(begin, end)
  for _, begin, end in edges:
    parts = component[begin], component[end]
    if parts[0] != parts[1] and min(map(len, parts)) < smallest:
      join(begin, end)
  return set(component.values())


def as_sets(regions):
  return {frozenset(zip(*np.nonzero(regions == n), strict=True)) for n in np.unique(regions)}


@given(st.integers(0, 2**16), st.sampled_from([3.0, 20.0, 90.0]), st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=12)
def test_segmentation_is_the_slow_one(seed, scale, smallest):
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (5, 6)) + 200 * (np.arange(6) > 2)
  found = as_sets(region_proposals.segment(image, scale, smallest))
  assert found == slow_segment(image, scale, smallest)


def slow_histogram(values, mask, bins, end):
  places = np.minimum(np.floor(values[mask] * bins / end), bins - 1)
  return np.array([np.mean(places == place) for place in range(bins)])


def slow_box(mask):
  rows, columns = np.nonzero(mask)
  return [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


def slow_likeness(image, one, other):
  smooth = lambda order: scipy.ndimage.gaussian_filter(image.astype(float), 1.0, order=order)
  down, right = smooth((1, 0)), smooth((0, 1))
  common = lambda values, bins, end: np.minimum(
    *(slow_histogram(values, mask, bins, end) for mask in (one, other))
  ).sum()
  turns = [np.pi / 4 * turn for turn in range(8)]
  slopes = [np.maximum(np.sin(turn) * down + np.cos(turn) * right, 0) for turn in turns]
  texture = np.mean([common(slope, 10, 128) for slope in slopes])
  both = one | other
  top, left, bottom, end = slow_box(both)
  fill = 1 - ((bottom - top) * (end - left) - both.sum()) / image.size
  return common(image.astype(float), 25, 256) + texture + 1 - both.sum() / image.size + fill


def touch(one, other):
  return (scipy.ndimage.binary_dilation(one, np.ones((3, 3))) & other).any()


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_grouping_is_the_slow_one(seed):
  image = np.random.default_rng(seed).integers(0, 256, (9, 8))
  regions = region_proposals.segment(image, 30.0, 3)
  masks = [regions == n for n in range(regions.max() + 1)]
  assert len(masks) > 5
  boxes = [slow_box(mask) for mask in masks]
  while len(masks) > 1:
    pairs = itertools.combinations(range(len(masks)), 2)
    alike = {
      (a, b): slow_likeness(image, masks[a], masks[b])
      for a, b in pairs
      if touch(masks[a], masks[b])
    }
    kept, gone = max(alike, key=lambda pair: alike[pair])
    assert sum(value > alike[kept, gone] - 1e-9 for value in alike.values()) == 1, "a tie"
    masks[kept] = masks[kept] | masks.pop(gone)
    boxes.append(slow_box(masks[kept]))
  assert region_proposals.group(image, regions).tolist() == np.array(boxes).tolist()
  assert boxes[-1] == [0, 0, 9, 8]


def test_a_bright_square_on_a_ramp_is_proposed():
  image = np.tile(np.arange(40), (40, 1))
  image[11:25, 9:28] = 200
  boxes = region_proposals.propose(image).tolist()
  assert [11, 9, 25, 28] in boxes and len(boxes) == len({*map(tuple, boxes)})
  assert not region_proposals.propose(image, lengths=(30, 34)).tolist()


def test_an_even_image_has_no_region_but_itself():
  assert region_proposals.group(np.ones((9, 9)), np.zeros((9, 9), int)).tolist() == [[0, 0, 9, 9]]
  assert region_proposals.propose(np.ones((9, 9))).shape == (0, 4)


@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([0.2, 0.5]))
@settings(deadline=None, max_examples=20)
def test_windows_of_the_grid_cover_the_image_to_its_edges(height, width, stride):
  boxes = region_proposals.grid((height, width), (8,), (1.0,), stride)
  tops, lefts = (sorted({*boxes[:, axis].tolist()}) for axis in (0, 1))
  for begins, whole in ((tops, height), (lefts, width)):
    assert begins[0] == 0 and begins[-1] == whole - 8
    assert max(np.diff(begins), default=0) <= 8 * stride + 1
  assert len(boxes) == len(tops) * len(lefts)
  assert {(8, 8)} == {*map(tuple, (boxes[:, 2:] - boxes[:, :2]).tolist())}


def test_windows_larger_than_the_image_are_left_out():
  assert region_proposals.grid((10, 10), (20,), (1.0,)).shape == (0, 4)
