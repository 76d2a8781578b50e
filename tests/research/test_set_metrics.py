"""Metrics of whole sets, held against slow definitions written out pair by pair."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import set_metrics
from research.metrics import Mean, averages, joined
from research.set_metrics import SET_METRICS, Gathered

pytestmark = pytest.mark.fast


def softmax(row):
  powers = [math.exp(value - max(row)) for value in row]
  return [power / sum(sorted(powers)) for power in powers]


def scores_by_class(outputs, labels):
  """True positives, false positives and false negatives of every class."""
  answers = [int(np.argmax(row)) for row in outputs]
  for each in range(outputs.shape[1]):
    pairs = [(label == each, answer == each) for label, answer in zip(labels, answers, strict=True)]
    yield pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False))


def slow_f1(outputs, labels):
  counts = scores_by_class(outputs, labels)
  return np.mean([2 * a / (2 * a + b + c) for a, b, c in counts if a + b + c])


def slow_recall(outputs, labels):
  return np.mean([a / (a + c) for a, _, c in scores_by_class(outputs, labels) if a + c])


def slow_auc(outputs, labels):
  areas = []
  for each in [1] if outputs.shape[1] == 2 else range(outputs.shape[1]):
    chances = [softmax(row)[each] for row in outputs.astype(float)]
    inside = [p for p, label in zip(chances, labels, strict=True) if label == each]
    outside = [p for p, label in zip(chances, labels, strict=True) if label != each]
    wins = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    areas += [np.mean(wins)] if wins else []
  return np.mean(areas) if areas else math.nan


def slow_ece(outputs, labels):
  found = 0.0
  for bin in range(15):
    inside = []
    for row, label in zip(outputs, labels, strict=True):
      confidence = max(softmax(row.astype(float)))
      if bin / 15 < confidence <= (bin + 1) / 15:
        inside.append((confidence, int(np.argmax(row)) == label))
    if inside:
      confidence, right = np.mean(inside, axis=0)
      found += len(inside) / len(labels) * abs(right - confidence)
  return found


SLOW = {"f1": slow_f1, "recall": slow_recall, "auc": slow_auc, "ece": slow_ece}


def drawn(seed):
  """Random outputs with ties, of 2 to 5 classes some of which no example has."""
  rng = np.random.default_rng(seed)
  classes, examples = int(rng.integers(2, 6)), int(rng.integers(1, 40))
  outputs = np.round(rng.normal(size=(examples, classes)) * 2).astype(np.float32)
  return outputs, rng.integers(0, rng.integers(1, classes + 1), examples).astype(np.int32)


@pytest.mark.parametrize("name", SET_METRICS)
@pytest.mark.parametrize("seed", range(20))
def test_each_equals_its_slow_definition(name, seed):
  outputs, labels = drawn(seed)
  np.testing.assert_allclose(SET_METRICS[name](outputs, labels), SLOW[name](outputs, labels), 1e-9)


def test_large_outputs_make_no_ties():
  outputs = np.array([[0, 200.0], [0, 100.0], [0, 50.0], [0, -9.0]], np.float32)
  assert set_metrics.area_under_curve(outputs, np.array([1, 0, 0, 0])) == 1  # not 5/6
  assert set_metrics.macro_recall(outputs, np.array([1, 1, 0, 0])) == 0.75


def test_batches_are_put_together_and_padding_left_out():
  outputs, labels = drawn(3)
  metric = SET_METRICS["f1"]
  padded = np.resize(outputs, (2, len(labels), outputs.shape[1]))
  weight = np.stack([np.ones(len(labels)), np.zeros(len(labels))])
  parts = {
    "f1": Gathered(padded, np.stack([labels, labels]), weight, metric),
    "loss": Mean(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0])),
  }
  found = averages({"test": joined(parts)})
  assert found["test/f1"] == metric(outputs, labels) and found["test/loss"] == 0.75
  lanes = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), joined(parts))
  empty = Gathered(*(lanes["f1"].outputs, lanes["f1"].targets, lanes["f1"].weight * 0), metric)
  assert averages({"test": lanes})["test/f1"].tolist() == [metric(outputs, labels)] * 2
  assert np.isnan(averages({"test": {"f1": empty}})["test/f1"]).all()
