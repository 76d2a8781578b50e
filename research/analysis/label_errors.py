"""Labels that are probably wrong, by confident learning.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels" (2021):
an example counts as one of class j when its probability for j reaches the mean of that probability
over the examples labelled j. Counting examples by their label and by the class that they count as
gives the joint distribution of given and true labels. Of each pair of classes as many examples are
suspected as that distribution says, those first whose probability of the other class exceeds that
of the label by most ("prune by noise rate").
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LEAST_ERRORS = 20  # by which anything is said of errors as a whole


class LabelErrors(NamedTuple):
  """Estimates from labels and out-of-sample probabilities.

  Attributes:
    joint: share of examples by given label and true one.
    suspects: examples whose label is suspected, the most suspicious one first.
    others: the class that each of them is more likely of.
  """

  joint: Float[np.ndarray, "given true"]
  suspects: Int[np.ndarray, " suspects"]
  others: Int[np.ndarray, " suspects"]

  @property
  def share(self) -> float:
    """The estimated share of wrong labels."""
    return float(1 - np.trace(self.joint))


def suspected_labels(
  label: Int[np.ndarray, " examples"], probabilities: Float[np.ndarray, "examples classes"]
) -> LabelErrors:
  """Finds labels that are probably wrong.

  Args:
    label: of each example, as it is given.
    probabilities: of all classes, by a network that did not learn from these examples.
  """
  joint = joint_of(label, confident_counts(label, probabilities))
  wanted = np.rint(joint * len(label)).astype(int)
  own = probabilities[np.arange(len(label)), label]
  margin = probabilities - own[:, None]
  found: dict[int, int] = {}
  for given, other in np.argwhere(wanted - np.diag(np.diag(wanted)) > 0):
    of_label = np.flatnonzero(label == given)
    order = of_label[np.argsort(-margin[of_label, other], kind="stable")]
    for example in order[: wanted[given, other]]:
      before = found.get(int(example), int(given))
      found[int(example)] = max(before, int(other), key=lambda k: probabilities[example, k])
  suspects = np.array([each for each, other in found.items() if margin[each, other] > 0], int)
  others = np.array([found[int(each)] for each in suspects], int)
  order = np.argsort(-margin[suspects, others], kind="stable")
  return LabelErrors(joint, suspects[order], others[order])


def confident_counts(
  label: Int[np.ndarray, " examples"], probabilities: Float[np.ndarray, "examples classes"]
) -> Int[np.ndarray, "given true"]:
  """The confident joint: examples by label and by the class that they count as, where there is one.

  An example that reaches several classes' thresholds counts as the most probable of these.
  """
  classes = probabilities.shape[1]
  threshold = np.full(classes, np.inf)  # a class without examples has none
  for each in np.unique(label):
    threshold[each] = probabilities[label == each, each].mean()
  reached = np.where(probabilities >= threshold, probabilities, -1.0)
  counts_as, is_confident = reached.argmax(axis=1), (reached >= 0).any(axis=1)
  counts = np.zeros((classes, classes), int)
  np.add.at(counts, (label[is_confident], counts_as[is_confident]), 1)
  return counts


def joint_of(
  label: Int[np.ndarray, " examples"], counts: Int[np.ndarray, "given true"]
) -> Float[np.ndarray, "given true"]:
  """The joint distribution: the confident joint with each row scaled to its label's examples.

  A label whose examples count as nothing is taken to be right.
  """
  rows = counts.sum(axis=1)
  kept = np.where((rows == 0)[:, None], np.eye(len(counts)), counts)
  sizes = np.bincount(label, minlength=len(counts))
  return kept / kept.sum(axis=1, keepdims=True) * sizes[:, None] / len(label)


def share_at_random(
  label: Int[np.ndarray, " examples"], probabilities: Float[np.ndarray, "examples classes"]
) -> float | None:
  """The share of the errors that may come of labels which are wrong at random.

  The label of an example that is hard is mostly the network's second guess, and hardly ever one of
  the less probable half of the other classes, where a label drawn at random is half of the time.
  The share of errors whose label is there, over that of labels drawn at random, is therefore about
  the share of random labels among the errors, and above it where hard examples surprise too.

  Returns:
    A number from 0, which chance may raise above 1; None for two classes or too few errors.
  """
  is_wrong = probabilities.argmax(axis=1) != label
  classes = probabilities.shape[1]
  if classes < 3 or is_wrong.sum() < LEAST_ERRORS:
    return None
  own = probabilities[is_wrong, label[is_wrong]]
  rank = (probabilities[is_wrong] > own[:, None]).sum(axis=1)  # the answer's is 0, the next one's 1
  low = np.arange(1, classes) > classes / 2
  return float(np.mean(rank > classes / 2) / low.mean())
