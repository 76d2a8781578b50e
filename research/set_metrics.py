"""Metrics of a whole evaluation set, which are no means over its examples.

Each is a function of all outputs and all labels, as NumPy arrays on the host: exact, whatever the
batches were. Classes without an example are left out of averages over classes.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

Outputs = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]
SetMetric = Callable[[np.ndarray, np.ndarray], float]
CALIBRATION_BINS = 15


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("outputs", "targets", "weight"),
  meta_fields=("metric",),
)
@dataclasses.dataclass(frozen=True)
class Gathered:
  """The outputs of a batch or of a whole set, and the metric that they are kept for.

  Attributes:
    outputs: of every example.
    targets: that they are compared with.
    weight: of every example; one with 0 is padding.
    metric: of the outputs and targets of all that is no padding.
  """

  outputs: Array
  targets: Array
  weight: Float[Array, "*lanes batch"]
  metric: SetMetric

  def joined(self) -> "Gathered":
    """The same with the batches, along the first axis, in one."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), self)

  def value(self) -> np.ndarray:
    """The metric; [lanes] where there is an axis of lanes in front."""
    outputs, targets, weight = (
      np.asarray(each) for each in (self.outputs, self.targets, self.weight)
    )
    if weight.ndim > 1:
      lanes = zip(outputs, targets, weight, strict=True)
      return np.array([Gathered(*lane, self.metric).value() for lane in lanes])
    is_real = weight > 0
    if not is_real.any():  # a lane that only fills up the program
      return np.array(np.nan)
    return np.array(self.metric(outputs[is_real], targets[is_real]))


def confusion_counts(
  labels: ArrayLike, answers: ArrayLike, classes: int
) -> Int[np.ndarray, "classes classes"]:
  """Counts by label and answer, from the numbers [n] of classes."""
  pairs = np.asarray(labels, int) * classes + np.asarray(answers)
  return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def macro_f1(outputs: Outputs, labels: Labels) -> float:
  """The mean over classes of 2 tp / (2 tp + fp + fn), of those that are labelled or answered."""
  counts = _confusion(outputs, labels)
  either = counts.sum(0) + counts.sum(1)
  return float(np.mean(2 * counts.diagonal()[either > 0] / either[either > 0]))


def macro_recall(outputs: Outputs, labels: Labels) -> float:
  """The mean over classes of the share of its examples that are found: the balanced accuracy."""
  counts = _confusion(outputs, labels)
  there = counts.sum(1)
  return float(np.mean(counts.diagonal()[there > 0] / there[there > 0]))


def area_under_curve(outputs: Outputs, labels: Labels) -> float:
  """The area under the ROC curve; of more than two classes the mean of each against the rest.

  It is the chance that an example of the class has a larger probability of it than one of the rest,
  a tie counting half (Mann & Whitney 1947). NaN where all examples are of one class.
  """
  classes = [1] if outputs.shape[1] == 2 else range(outputs.shape[1])
  areas = [_area(_log_odds(outputs, each), labels == each) for each in classes]
  there = [area for area in areas if not np.isnan(area)]
  return float(np.mean(there)) if there else float("nan")


def expected_calibration_error(outputs: Outputs, labels: Labels) -> float:
  """The mean gap between confidence and accuracy in 15 bins of confidence (Guo et al. 2017).

  The confidence is the largest probability; bins are of equal width and closed above.
  """
  probabilities = _softmax(outputs)
  confidence, is_right = probabilities.max(1), _answers(outputs) == labels
  bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
  gaps = np.bincount(bins, weights=is_right - confidence, minlength=CALIBRATION_BINS)
  return float(np.abs(gaps).sum() / len(labels))


# By the names that --metrics takes.
SET_METRICS: Mapping[str, SetMetric] = MappingProxyType(
  {
    "f1": macro_f1,
    "recall": macro_recall,
    "auc": area_under_curve,
    "ece": expected_calibration_error,
  }
)


def _answers(outputs: Outputs) -> Labels:
  return np.argmax(outputs, axis=1)


def _confusion(outputs: Outputs, labels: Labels) -> Int[np.ndarray, "classes classes"]:
  return confusion_counts(labels, _answers(outputs), outputs.shape[1])


def _log_odds(outputs: Outputs, each: int) -> Float[np.ndarray, " examples"]:
  """Logarithm of p / (1 - p) of a class: unlike p, large outputs do not make ties of it.

  The others are summed in order of size, so that equal sets of outputs give equal sums.
  """
  shifted = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
  others = np.sort(np.delete(shifted, each, axis=1), axis=1)
  largest = others[:, -1:]
  return shifted[:, each] - largest[:, 0] - np.log(np.exp(others - largest).sum(axis=1))


def _softmax(outputs: Outputs) -> Outputs:
  shifted = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
  powers = np.exp(shifted)
  return powers / powers.sum(axis=1, keepdims=True)


def _area(scores: Float[np.ndarray, " examples"], is_class: np.ndarray) -> float:
  """Mann & Whitney's statistic, of ranks that ties share."""
  inside, outside = int(is_class.sum()), int((~is_class).sum())
  if not (inside and outside):
    return float("nan")
  _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
  ranks = np.cumsum(counts) - (counts - 1) / 2
  return float((ranks[places][is_class].sum() - inside * (inside + 1) / 2) / (inside * outside))
