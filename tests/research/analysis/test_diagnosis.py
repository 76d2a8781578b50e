import numpy as np
import pytest

from research.analysis.diagnosis import Answers, diagnose
from research.analysis.error_gaps import DEV, MISMATCH, TEST, TRAIN, TRAIN_DEV, VARIANCE

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
