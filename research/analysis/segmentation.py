"""Metrics of segmentation, of the classes of all pixels of a set: answers against the truth.

The first three are those of Long et al. 2015, section 5, from counts of pixels by class and answer.
The boundary F1 score (Csurka et al. 2013) tells how well contours are met.
"""

import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from research.learner import Learner
from research.learner_transforms import with_set_metrics
from research.set_metrics import SetMetric, confusion_counts

Counts = Int[np.ndarray, "class class"]  # of pixels, by true class and answer
Masks = Int[np.ndarray, "image height width"]
TOLERANCE = 0.0075  # of the image's diagonal, by which boundaries may be off (Csurka et al. 2013)


def pixel_accuracy(counts: Counts) -> float:
  """The share of pixels whose class is right."""
  return float(counts.diagonal().sum() / counts.sum())


def mean_iou(counts: Counts) -> float:
  """The mean over classes of intersection over union of true pixels and answers.

  Classes that are neither there nor answered are left out.
  """
  union = _union(counts)
  return float(np.mean(counts.diagonal()[union > 0] / union[union > 0]))


def frequency_weighted_iou(counts: Counts) -> float:
  """Intersection over union, the mean over classes weighted by their true pixels."""
  ratio = counts.diagonal() / np.maximum(_union(counts), 1)
  return float((counts.sum(axis=1) * ratio).sum() / counts.sum())


def class_iou(counts: Counts) -> np.ndarray:
  """Intersection over union of each class; NaN for one that is neither there nor answered."""
  union = _union(counts)
  return np.where(union > 0, counts.diagonal() / np.maximum(union, 1), np.nan)


def boundary_f1(answers: Masks, truth: Masks, classes: int) -> float:
  """The mean over images of the mean F1 score of their classes' boundaries.

  A class's boundary pixels are those with a neighbour of another class above, below, left or right.
  Precision is the share of answered boundary pixels with a true one within a tolerance, 0.75 % of
  the diagonal but at least a pixel, in Euclidean distance; recall the other way round. A class
  counts where it is in the image or in the answer.
  """
  scores = [
    np.nanmean([_class_f1(answer == k, true == k) for k in range(classes)])
    for answer, true in zip(answers, truth, strict=True)
  ]
  return float(np.mean(scores))


def median_frequency_weights(masks: Masks, classes: int) -> Float[np.ndarray, " class"]:
  """Weights by which rare classes count as the others do (Eigen & Fergus 2015, section 6.3.2).

  A class's frequency is its share of the pixels of the images that it is in; its weight is the
  median of all frequencies over its own, and 0 for a class that is nowhere.
  """
  there = np.stack([np.count_nonzero(masks == k, axis=(1, 2)) for k in range(classes)])
  pixels = np.count_nonzero(there, axis=1) * masks[0].size
  frequency = there.sum(axis=1) / np.maximum(pixels, 1)
  median = np.median(frequency[frequency > 0])
  return np.where(frequency > 0, median / np.maximum(frequency, 1e-12), 0).astype(np.float32)


def set_metrics(classes: int, boundaries: bool = False) -> Mapping[str, SetMetric]:
  """The metrics of a set as functions of (answers, true masks), by name.

  Args:
    classes: how many there are.
    boundaries: whether the boundary F1 score is one; it takes a few milliseconds an image.
  """
  of_counts = {
    "mean_iou": mean_iou,
    "weighted_iou": frequency_weighted_iou,
    "pixel_accuracy": pixel_accuracy,
  }
  found = {name: functools.partial(_of_masks, each, classes) for name, each in of_counts.items()}
  of_contours: dict[str, SetMetric] = {
    "boundary_f1": functools.partial(boundary_f1, classes=classes)
  }
  return {**found, **of_contours} if boundaries else found


def counts_of(answers: Masks, truth: Masks, classes: int) -> Counts:
  """Counts of pixels by true class and answer."""
  return confusion_counts(np.ravel(truth), np.ravel(answers), classes)


def answers_of(
  logits: Float[Array, "batch height width class"],
) -> UInt8[Array, "batch height width"]:
  """The class of each pixel."""
  return jnp.argmax(logits, axis=-1).astype(jnp.uint8)


def measured(learner: Learner, classes: int, boundaries: bool = False) -> Learner:
  """The learner of pixels' classes, "mask", with `set_metrics` in its evaluations."""
  metrics = set_metrics(classes, boundaries)
  return with_set_metrics(learner, metrics, target="mask", answer=answers_of)


def _of_masks(
  metric: Callable[[Counts], float], classes: int, answers: Masks, truth: Masks
) -> float:
  return metric(counts_of(answers, truth, classes))


def _union(counts: Counts) -> np.ndarray:
  return counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()


def _class_f1(answer: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
  """NaN where neither has a boundary."""
  from scipy import ndimage  # takes a while

  reach = max(1.0, TOLERANCE * float(np.hypot(*truth.shape)))
  inner = functools.partial(ndimage.binary_erosion, border_value=True)
  edges = [mask & ~inner(mask) for mask in (answer, truth)]
  if not edges[0].any() and not edges[1].any():
    return float("nan")
  if not edges[0].any() or not edges[1].any():
    return 0.0
  near = [ndimage.distance_transform_edt(~edge) <= reach for edge in edges]
  precision, recall = near[1][edges[0]].mean(), near[0][edges[1]].mean()
  return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
