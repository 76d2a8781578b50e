import numpy as np
import pytest

from research.analysis.diagnosis import WRONG_LABELS, Answers, diagnose
from research.analysis.error_gaps import BIAS, DEV, MISMATCH, TEST, TRAIN, TRAIN_DEV, VARIANCE

pytestmark = pytest.mark.fast


def answers(errors, examples=400, classes=4, seed=0):
  """Sure answers, of which the first are wrong."""
  label = np.random.default_rng(seed).integers(0, classes, examples)
  answer = (label + (np.arange(examples) < errors)) % classes
  return Answers(label, 0.9 * np.eye(classes)[answer] + 0.1 / classes)


def test_gaps_tags_and_slices_are_of_the_dev_set():
  kind = np.where(np.arange(400) < 60, "dark", "light")
  tags = {"dark": np.arange(50) < 40, "blur": np.arange(50) < 10}
  found = diagnose(
    {TRAIN: answers(4), TRAIN_DEV: answers(8), DEV: answers(100), TEST: answers(104)},
    human=0.01,
    tags=tags,
    columns={"light": kind},
    class_names=["a", "b", "c", "d"],
  )
  assert found.examined == DEV and found.first.causes == (MISMATCH,)
  assert found.first.rise == pytest.approx(92 / 400)
  assert [(row.tag, row.gain) for row in found.tags] == [("dark", 0.2), ("blur", 0.05)]
  assert found.slices[0].name == "light is dark" and found.slices[0].is_worse
  assert {row.name for row in found.slices} > {"class a", "light is light"}


def test_without_a_dev_set_the_test_set_is_examined():
  found = diagnose({TRAIN: answers(0), TEST: answers(60)})
  assert found.examined == TEST and VARIANCE in found.first.causes
  assert not found.tags and found.slices[0].name.startswith("class ")


def test_labels_that_are_wrong_at_random_in_all_sets_are_told_from_bias():
  """The same errors, on examples whose label is any class or the network's second guess."""
  rng = np.random.default_rng(0)
  shares = rng.dirichlet(np.full(10, 0.3), 600)
  order = np.argsort(-shares, axis=1)
  is_wrong, any_place = np.arange(600) < 150, rng.integers(1, 10, 600)
  for place, cause in ((any_place, WRONG_LABELS), (np.ones(600, int), BIAS)):
    label = order[np.arange(600), np.where(is_wrong, place, 0)]
    own = Answers(label, shares)
    found = diagnose({TRAIN: own, TRAIN_DEV: own, DEV: own})
    assert found.first.name == BIAS and found.cause == cause
    assert ("correction" in found.to_try[0]) == (cause == WRONG_LABELS)
  wide = Answers((order[:, 0] + 1) % 10, shares)  # another gap is larger, and not of the labels
  noisy = Answers(order[np.arange(600), np.where(is_wrong, any_place, 0)], shares)
  assert diagnose({TRAIN: noisy, TRAIN_DEV: noisy, DEV: wide}).cause == MISMATCH
