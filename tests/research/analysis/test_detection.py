"""Overlap, suppression and average precision, each equal to slow code that says it plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.analysis import detection
from research.analysis.detection import Curve, Found, Objects

pytestmark = pytest.mark.fast
RULES = {
  "eleven": detection.at_eleven_recalls,
  "area": detection.area_under,
  "hundred": detection.at_hundred_recalls,
}


@st.composite
def boxes(draw, most=8, least=0, size=9):
  count = draw(st.integers(least, most))
  ends = st.tuples(*[st.integers(0, size)] * 4)
  drawn = [draw(ends) for _ in range(count)]
  ordered = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in drawn]
  return np.array(ordered, float).reshape(-1, 4)


@st.composite
def detections(draw):
  truth, found = draw(boxes(least=1, size=5)), draw(boxes(most=12, size=5))
  among = lambda count, last: np.array(
    draw(st.lists(st.integers(0, last), min_size=count, max_size=count)), int
  )
  objects = Objects(among(len(truth), 1), among(len(truth), 1), truth)
  score = among(len(found), 5) / 4  # some are equal
  return Found(among(len(found), 1), among(len(found), 1), found, score), objects


def slow_overlap(one, other):
  cells = lambda box: {
    (y, x) for y in range(int(box[0]), int(box[2])) for x in range(int(box[1]), int(box[3]))
  }
  either = cells(one) | cells(other)
  return len(cells(one) & cells(other)) / len(either) if either else 0.0


def slow_suppress(found, scores, limit):
  left, kept = list(range(len(found))), []
  while left:
    best = max(left, key=lambda n: (scores[n], -n))
    kept.append(best)
    left = [n for n in left if n != best and slow_overlap(found[n], found[best]) <= limit]
  return kept


def slow_average(found, truth, label, overlap, rule, only_free):
  """Average precision from lists, with the recall as a fraction of whole numbers."""
  there = [n for n in range(len(truth.label)) if truth.label[n] == label]
  ranked = sorted(
    (n for n in range(len(found.label)) if found.label[n] == label),
    key=lambda n: (-found.score[n], n),
  )
  taken, right, points = set(), 0, []
  for rank, n in enumerate(ranked, start=1):
    own = [t for t in there if truth.image[t] == found.image[n]]
    own = [t for t in own if not (only_free and t in taken)]
    if own:
      best = max(own, key=lambda t: (slow_overlap(found.box[n], truth.box[t]), -t))
      if slow_overlap(found.box[n], truth.box[best]) >= overlap and best not in taken:
        taken.add(best)
        right += 1
    points.append((right, right / rank))
  beyond = lambda count: max([p for r, p in points if r >= count], default=0.0)
  if rule == "area":  # each true box adds the best precision with which it or more are found
    return sum(beyond(number) for number in range(1, len(there) + 1)) / len(there)
  steps = {"eleven": 10, "hundred": 100}[rule]
  least = lambda step: max([p for r, p in points if r * steps >= step * len(there)], default=0.0)
  return sum(least(step) for step in range(steps + 1)) / (steps + 1)


@given(boxes(), boxes())
@settings(deadline=None, max_examples=30)
def test_overlaps_are_those_of_counted_pixels(some, others):
  slow = [[slow_overlap(one, other) for other in others] for one in some]
  slow = np.array(slow).reshape(len(some), len(others))
  np.testing.assert_allclose(detection.intersection_over_union(some, others), slow)
  best = slow.max(axis=1, initial=0)
  np.testing.assert_allclose(detection.best_overlaps(some, others), best)


def test_boxes_that_touch_or_are_empty_overlap_by_nothing():
  some = np.array([[0, 0, 4, 4], [2, 2, 2, 2], [3, 3, 1, 1]])
  others = np.array([[0, 4, 4, 8], [2, 2, 2, 2], [0, 0, 2, 4]])
  overlaps = detection.intersection_over_union(some, others)
  np.testing.assert_array_equal(overlaps, [[0, 0, 0.5], [0, 0, 0], [0, 0, 0]])


@given(boxes(size=5), st.data(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
@settings(deadline=None, max_examples=40)
def test_suppression_keeps_what_the_slow_one_keeps(some, data, limit):
  length = {"min_size": len(some), "max_size": len(some)}
  scores = np.array(data.draw(st.lists(st.integers(0, 3), **length)), float)
  kept = detection.suppress(some, scores, limit)
  assert kept.tolist() == slow_suppress(some, scores, limit)


@given(
  detections(), st.sampled_from([0.3, 0.5, 0.7]), st.sampled_from(sorted(RULES)), st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_mean_average_precision_is_the_slow_one(made, overlap, rule, only_free):
  found, truth = made
  ours = detection.mean_average_precision(found, truth, overlap, RULES[rule], only_free)
  labels = sorted(set(truth.label.tolist()))
  slow = [slow_average(found, truth, label, overlap, rule, only_free) for label in labels]
  assert ours == pytest.approx(sum(slow) / len(slow), abs=1e-12)


@given(detections())
@settings(deadline=None, max_examples=10)
def test_cocos_number_is_a_mean_over_ten_overlaps(made):
  found, truth = made
  overlaps = [n / 20 for n in range(10, 20)]
  slow = [
    slow_average(found, truth, label, overlap, "hundred", True)
    for label in sorted(set(truth.label.tolist()))
    for overlap in overlaps
  ]
  ours = detection.coco_mean_average_precision(found, truth)
  assert ours == pytest.approx(sum(slow) / len(slow), abs=1e-12)


def test_average_precision_by_hand():
  # Right, wrong, right, of two that there are: precision 1, 1/2, 2/3 at recalls 1/2, 1/2, 1.
  curve = Curve(np.array([1, 1 / 2, 2 / 3]), np.array([1 / 2, 1 / 2, 1]))
  assert detection.area_under(curve) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
  assert detection.at_eleven_recalls(curve) == pytest.approx((6 + 5 * 2 / 3) / 11)
  assert detection.at_hundred_recalls(curve) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_find_is_wrong_by_vocs_rule_and_takes_the_next_free_box_by_cocos():
  truth = Objects(np.zeros(2, int), np.ones(2, int), np.array([[0, 0, 10, 10], [0, 0, 10, 6]]))
  box = np.array([[0, 0, 10, 10], [0, 0, 10, 9]])
  found = Found(np.zeros(2, int), np.ones(2, int), box, np.array([2.0, 1.0]))
  assert detection.right_detections(found, truth, 0.5).tolist() == [True, False]
  assert detection.right_detections(found, truth, 0.5, only_free=True).tolist() == [True, True]


def test_without_true_boxes_there_is_no_recall():
  nothing = Objects(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)))
  found = Found(*nothing, np.zeros(0))
  with pytest.raises(ValueError, match="true box"):
    detection.mean_average_precision(found, nothing)
  with pytest.raises(ValueError, match="true box"):
    detection.precision_recall(found, nothing, 0.5)


@given(detections(), st.sampled_from([0.3, 0.5]))
@settings(deadline=None, max_examples=20)
def test_recall_counts_objects_that_any_box_of_their_image_overlaps(made, overlap):
  found, truth = made
  boxes = list(zip(found.image, found.box, strict=True))
  hit = [
    any(image == own and slow_overlap(box, true) >= overlap for image, box in boxes)
    for own, true in zip(truth.image, truth.box, strict=True)
  ]
  assert detection.recall(Objects(*found[:3]), truth, overlap) == pytest.approx(np.mean(hit))


def test_a_pooled_curve_ranks_all_classes_together_and_mixes_none():
  box = np.array([[0, 0, 4, 4]] * 3)
  truth = Objects(np.array([0, 0, 1]), np.array([1, 2, 1]), box)
  found = Found(np.array([0, 0, 1]), np.array([2, 1, 2]), box, np.array([3.0, 1.0, 2.0]))
  curve = detection.pooled_curve(found, truth, 0.5)
  np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
  np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 2 / 3])
