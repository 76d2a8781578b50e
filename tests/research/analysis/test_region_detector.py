"""What is learnt from a network's features, on features that say all there is to know."""

import numpy as np
import pytest

from research.analysis import box_regression, detection, region_detector
from research.analysis.detection import Objects
from research.analysis.region_detector import Features
from research.analysis.warped_regions import regions_of

pytestmark = pytest.mark.fast
SIZE, CLASSES, IMAGES = 40, 3, 30


@pytest.fixture(scope="module")
def world():
  """Two objects an image, proposals around them and elsewhere, and features that know the truth."""
  rng = np.random.default_rng(0)
  at = np.stack([rng.integers(0, 8, (IMAGES, 2)), rng.integers(18, 26, (IMAGES, 2))], axis=1)
  truth = Objects(
    np.repeat(np.arange(IMAGES), 2),
    rng.integers(1, CLASSES, 2 * IMAGES),
    np.concatenate([at, at + 12], axis=2).reshape(-1, 4),
  )
  proposals = [
    np.concatenate(
      [truth.box[truth.image == n] + shift for shift in rng.integers(-2, 3, (5, 2, 4))]
    )
    for n in range(IMAGES)
  ]
  elsewhere = np.array([[0, 26, 10, 38], [28, 0, 39, 9]])
  proposals = [np.clip(np.concatenate([own, elsewhere]), 0, SIZE) for own in proposals]
  images = np.zeros((IMAGES, SIZE, SIZE), np.uint8)
  regions = regions_of(images, truth, proposals, CLASSES, with_truth=True, size=6, rim=1)
  label = np.where(regions.overlap.max(axis=1) >= 0.5, regions.label, 0)
  steps = np.nan_to_num(box_regression.targets(regions.box, regions.nearest))
  one_hot = np.eye(CLASSES)[label]
  return Features(50 * steps, one_hot, np.log(one_hot + 1e-3)), regions, truth


def test_the_whole_detector_finds_all_and_each_part_counts(world):
  features, regions, truth = world
  detector = region_detector.learn(features, regions)
  of = lambda overlap, **parts: detection.mean_average_precision(
    region_detector.detect(detector, features, regions, SIZE, **parts), truth, overlap
  )
  proposed = regions._replace(
    **{name: getattr(regions, name)[~regions.is_truth] for name in regions._fields}
  )
  few = Features(*(stage[~regions.is_truth] for stage in features))
  found = region_detector.detect(detector, few, proposed, SIZE)
  unmoved = region_detector.detect(detector, few, proposed, SIZE, is_moved=False)
  precision = lambda found: detection.mean_average_precision(found, truth, 0.9)
  assert precision(found) > 0.95 and precision(unmoved) < 0.6
  assert of(0.5) == of(0.5, by_softmax=True) == 1
  assert of(0.5, is_suppressed=False) < 0.5
  assert (found.box >= 0).all() and (found.box <= SIZE).all()


def test_a_machine_says_yes_to_its_own_class_alone(world):
  features, regions, truth = world
  found = region_detector.detect(region_detector.learn(features, regions), features, regions, SIZE)
  yes = detection.chosen(found, found.score > 0)
  assert len(yes.score) == len(truth.image)
  assert detection.mean_average_precision(yes, truth, 0.5) == 1


def test_softmax_scores_are_chances(world):
  features, regions, _ = world
  detector = region_detector.learn(features, regions)
  found = region_detector.detect(detector, features, regions, SIZE, by_softmax=True)
  assert found.score.min() >= 0 and found.score.max() <= 1 and set(found.label) == {1, 2}
