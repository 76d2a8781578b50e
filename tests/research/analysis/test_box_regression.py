"""Steps between boxes, and the ridge regression that predicts them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from research.analysis import box_regression

pytestmark = pytest.mark.fast


@given(st.integers(0, 2**16))
@settings(deadline=None, max_examples=25)
def test_boxes_moved_by_their_targets_are_the_true_ones(seed):
  rng = np.random.default_rng(seed)
  begins, sides = rng.integers(0, 30, (2, 6, 2)), rng.integers(10, 25, (2, 6, 2))
  boxes, truth = np.concatenate([begins, begins + sides], axis=2)
  steps = box_regression.targets(boxes, truth)
  np.testing.assert_allclose(box_regression.moved(boxes, steps), truth, atol=1e-9)


def test_targets_by_hand():
  steps = box_regression.targets(np.array([[0, 0, 10, 20]]), np.array([[5, 10, 25, 20]]))
  # Centres (5, 10) and (15, 15) as (row, column); sides 10 x 20 and 20 x 10.
  np.testing.assert_allclose(steps, [[5 / 20, 10 / 10, np.log(1 / 2), np.log(2)]])


def test_a_wild_prediction_changes_sides_at_most_e_fold():
  wild = box_regression.moved(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 50.0, -50.0]]))
  np.testing.assert_allclose(wild[:, 2:] - wild[:, :2], [[10 / np.e, 10 * np.e]])


@pytest.mark.parametrize("penalty", (0.1, 100.0))
def test_ridge_regression_is_that_of_scikit_learn(penalty):
  rng = np.random.default_rng(0)
  features, steps, other = (
    rng.normal(2, 1, (30, 7)),
    rng.normal(1, 1, (30, 4)),
    rng.normal(size=(5, 7)),
  )
  ours = box_regression.predict(box_regression.fit(features, steps, penalty), other)
  np.testing.assert_allclose(ours, Ridge(penalty).fit(features, steps).predict(other), atol=1e-9)


def test_without_examples_nothing_moves():
  learnt = box_regression.fit(np.zeros((0, 3)), np.zeros((0, 4)), 1.0)
  assert not box_regression.predict(learnt, np.ones((2, 3))).any()
