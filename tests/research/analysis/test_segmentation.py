import itertools

import numpy as np
import pytest

from research.analysis import segmentation

pytestmark = pytest.mark.fast
CLASSES = 4


@pytest.fixture(params=range(4))
def masks(request):
  """Answers and truth in patches; class 3 is nowhere in the last pair."""
  rng = np.random.default_rng(request.param)
  drawn = rng.integers(0, CLASSES - (request.param == 3), (2, 3, 4, 5))
  answers, truth = drawn.repeat(3, axis=2).repeat(2, axis=3)
  return np.where(rng.random(truth.shape) < 0.6, truth, answers), truth


def slow_counts(answers, truth):
  """True positives, all true and all answered pixels of each class, one by one."""
  found = np.zeros((CLASSES, 3))
  for answer, true in zip(answers.ravel(), truth.ravel(), strict=True):
    found[true, 1] += 1
    found[answer, 2] += 1
    found[true, 0] += answer == true
  return found


def test_metrics_of_counts_are_those_counted_by_hand(masks):
  metrics, by_hand = segmentation.set_metrics(CLASSES), slow_counts(*masks)
  ratios = [r / (t + a - r) for r, t, a in by_hand if t + a]
  weighted = sum(t * r / (t + a - r) for r, t, a in by_hand if t) / masks[1].size
  assert metrics["mean_iou"](*masks) == pytest.approx(np.mean(ratios))
  assert metrics["weighted_iou"](*masks) == pytest.approx(weighted)
  assert metrics["pixel_accuracy"](*masks) == pytest.approx((masks[0] == masks[1]).mean())
  assert metrics["mean_iou"](masks[1], masks[1]) == 1
  by_class = segmentation.class_iou(segmentation.counts_of(*masks, CLASSES))
  np.testing.assert_allclose(by_class[~np.isnan(by_class)], ratios)


def test_weights_are_the_median_frequency_over_the_own():
  mask = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 0]]])
  # Class 0 is in both images, 7 of 8 pixels; class 1 in one, 1 of 4.
  wanted = [0.5625 / 0.875, 0.5625 / 0.25, 0]
  np.testing.assert_allclose(segmentation.median_frequency_weights(mask, 3), wanted, rtol=1e-6)


def slow_boundary(mask):
  height, width = mask.shape
  edge = set()
  for y, x in itertools.product(range(height), range(width)):
    near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    if mask[y, x] and any(0 <= b < height and 0 <= a < width and not mask[b, a] for b, a in near):
      edge.add((y, x))
  return edge


def slow_f1(answers, truth, reach):
  scores = []
  for answer, true in zip(answers, truth, strict=True):
    of_classes = []
    for k in range(CLASSES):
      ours, theirs = slow_boundary(answer == k), slow_boundary(true == k)
      if not ours and not theirs:
        continue
      near = lambda one, others: any(np.hypot(one[0] - b, one[1] - a) <= reach for b, a in others)
      precision = np.mean([near(one, theirs) for one in ours]) if ours else 0
      recall = np.mean([near(one, ours) for one in theirs]) if theirs else 0
      both = precision + recall
      of_classes.append(2 * precision * recall / both if both else 0)
    scores.append(np.mean(of_classes))
  return np.mean(scores)


def test_boundary_f1_is_that_of_all_pairs_of_pixels(masks):
  assert segmentation.boundary_f1(*masks, CLASSES) == pytest.approx(slow_f1(*masks, 1))
  assert segmentation.boundary_f1(masks[1], masks[1], CLASSES) == 1


def test_boundaries_may_be_a_pixel_off_and_no_more():
  truth = np.zeros((1, 12, 12), int)
  truth[:, 4:8, 4:8] = 1
  moved = lambda pixels: segmentation.boundary_f1(np.roll(truth, pixels, axis=2), truth, 2)
  assert moved(1) == 1 > moved(2)
