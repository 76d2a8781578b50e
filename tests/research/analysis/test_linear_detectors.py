"""Linear machines that learn from the negatives they do not tell."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from research.analysis import linear_detectors

pytestmark = pytest.mark.fast


def examples(seed=0):
  rng = np.random.default_rng(seed)
  direction = np.eye(4)[0]
  positives, easy = (
    rng.normal(size=(40, 4)) + 4 * direction,
    rng.normal(size=(900, 4)) - 4 * direction,
  )
  hard = rng.normal(size=(60, 4)) + 4 * np.eye(4)[1]
  features = np.concatenate([positives, easy, hard])
  features *= linear_detectors.scale_of(features)
  return features, np.arange(1000) < 40


def test_features_are_given_a_mean_length_of_20():
  features, _ = examples()
  assert np.linalg.norm(features, axis=1).mean() == pytest.approx(20)
  assert np.isfinite(linear_detectors.scale_of(np.zeros((3, 2))))


def test_few_negatives_and_the_hard_ones_teach_what_all_do():
  features, is_positive = examples()
  learnt = linear_detectors.train(features, [is_positive], [~is_positive], first=10)
  ours = linear_detectors.scores(learnt, features)[:, 0]
  settings = {"C": 1e-3, "class_weight": {1: 2.0}, "intercept_scaling": 10.0}
  whole = LinearSVC(loss="hinge", max_iter=100_000, random_state=0, **settings)
  theirs = whole.fit(features, is_positive).decision_function(features)
  np.testing.assert_allclose(ours, theirs, atol=0.05)
  assert (ours[is_positive] > 0).mean() > 0.9
  # The ten are drawn from all negatives evenly: without the hard ones, many stay above the margin.
  alone = linear_detectors.train(features[:940], [is_positive[:940]], [~is_positive[:940]])
  assert linear_detectors.scores(alone, features[940:])[:, 0].mean() > ours[940:].mean() + 0.3


def test_regions_that_are_neither_teach_nothing():
  features, is_positive = examples()
  is_neither = np.arange(1000) >= 990
  negative = ~is_positive & ~is_neither
  whole = linear_detectors.train(features, [is_positive], [negative])
  cut = linear_detectors.train(features[:990], [is_positive[:990]], [negative[:990]])
  np.testing.assert_array_equal(whole.weights, cut.weights)


def test_a_class_without_examples_is_refused():
  features, is_positive = examples()
  with pytest.raises(ValueError, match="0 positive"):
    linear_detectors.train(features, [is_positive & False], [~is_positive])
