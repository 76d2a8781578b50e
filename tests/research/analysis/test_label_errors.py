import numpy as np
import pytest

from research.analysis.label_errors import (
  confident_counts,
  joint_of,
  share_at_random,
  suspected_labels,
)

pytestmark = pytest.mark.fast


def slow_counts(label, probabilities):
  """Equation 1 of the paper, example by example."""
  examples, classes = probabilities.shape
  counts = [[0] * classes for _ in range(classes)]
  thresholds = {}
  for j in set(label.tolist()):
    of_class = [probabilities[x][j] for x in range(examples) if label[x] == j]
    thresholds[j] = sum(of_class) / len(of_class)
  for x in range(examples):
    reached = [j for j in thresholds if probabilities[x][j] >= thresholds[j]]
    if reached:
      counts[label[x]][max(reached, key=lambda j: probabilities[x][j])] += 1
  return np.array(counts)


def slow_joint(label, counts):
  """Equation 3: rows scaled to the labels' numbers, the whole to 1."""
  joint = np.zeros(counts.shape)
  for i in range(len(counts)):
    size = sum(1 for each in label if each == i)
    for j in range(len(counts)):
      joint[i, j] = counts[i, j] / max(sum(counts[i]), 1) * size
    if not sum(counts[i]):
      joint[i, i] = size
  return joint / joint.sum()


def slow_suspects(label, probabilities):
  """Section 3.2's method 4: for each pair, the largest margins, as many as the joint says."""
  joint = slow_joint(label, slow_counts(label, probabilities))
  found = set()
  for i in range(len(joint)):
    for j in range(len(joint)):
      if i != j:
        of_label = [x for x in range(len(label)) if label[x] == i]
        of_label.sort(key=lambda x: probabilities[x][j] - probabilities[x][i], reverse=True)
        wanted = of_label[: round(joint[i, j] * len(label))]
        found |= {x for x in wanted if probabilities[x][j] > probabilities[x][i]}
  return found


def a_noisy_set(seed, examples=200, classes=4, wrong=0.1):
  rng = np.random.default_rng(seed)
  true = rng.integers(0, classes, examples)
  logits = rng.normal(size=(examples, classes)) + 3 * np.eye(classes)[true]
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  is_wrong = rng.random(examples) < wrong
  label = np.where(is_wrong, (true + rng.integers(1, classes, examples)) % classes, true)
  return label, probabilities, is_wrong


@pytest.mark.parametrize("seed", range(8))
def test_counts_joint_and_suspects_are_those_of_the_equations(seed):
  label, probabilities, _ = a_noisy_set(seed)
  if seed == 7:  # a class that no label has
    label = np.where(label == 2, 1, label)
  counts = confident_counts(label, probabilities)
  np.testing.assert_array_equal(counts, slow_counts(label, probabilities))
  np.testing.assert_allclose(joint_of(label, counts), slow_joint(label, counts))
  found = suspected_labels(label, probabilities)
  assert set(found.suspects.tolist()) == slow_suspects(label, probabilities)
  own = probabilities[found.suspects, label[found.suspects]]
  margins = probabilities[found.suspects, found.others] - own
  assert (np.diff(margins) <= 0).all() and (margins > 0).all()


def test_most_suspects_are_wrong_and_their_share_is_found():
  label, probabilities, is_wrong = a_noisy_set(seed=0, examples=3000, wrong=0.1)
  found = suspected_labels(label, probabilities)
  assert is_wrong[found.suspects].mean() > 0.75 and is_wrong[found.suspects].sum() > 200
  assert found.share == pytest.approx(is_wrong.mean(), abs=0.03)


def test_the_papers_thresholds_let_a_class_of_low_probabilities_count():
  """An example may count as a class that is not its most probable one."""
  probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
  label = np.array([0, 0, 1, 1])
  assert confident_counts(label, probabilities).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("classes", [3, 4, 9, 10])
def test_the_share_of_errors_by_labels_wrong_at_random(classes):
  """Labels at random are told from labels that are the second guess, in any mixture."""
  rng = np.random.default_rng(classes)
  shares = rng.dirichlet(np.ones(classes), 20_000)
  order = np.argsort(-shares, axis=1)
  at_random = rng.random(len(shares)) < 0.3
  place = np.where(at_random, rng.integers(1, classes, len(shares)), 1)
  label = np.where(rng.random(len(shares)) < 0.5, order[:, 0], order[np.arange(len(order)), place])
  assert share_at_random(label, shares) == pytest.approx(0.3, abs=0.03)


def test_nothing_is_said_of_two_classes_or_of_few_errors():
  label, probabilities, _ = a_noisy_set(seed=0, examples=60, wrong=0.1)
  assert share_at_random(label, probabilities) is None
  half = np.full((100, 2), 0.5)
  assert share_at_random(np.ones(100, int), half) is None
