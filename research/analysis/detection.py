"""Boxes around objects: their overlap, suppression of double finds, and average precision.

Boxes are rows (top, left, bottom, right), ends excluded, in pixels. Precision and recall are those
of the PASCAL VOC challenge (Everingham et al. 2010, "The PASCAL visual object classes (VOC)
challenge") and of COCO (Lin et al. 2014, "Microsoft COCO: common objects in context").

    curve = precision_recall(found, truth, overlap=0.5)
    area_under(curve), at_eleven_recalls(curve)
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Num

Boxes = Num[np.ndarray, "boxes 4"]
Some = TypeVar("Some", "Objects", "Found")
COCO_OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class Objects(NamedTuple):
  """Boxes in a set of images.

  Attributes:
    image: the number of the image of each.
    label: its class.
    box: its place.
  """

  image: Int[np.ndarray, " objects"]
  label: Int[np.ndarray, " objects"]
  box: Num[np.ndarray, "objects 4"]


class Found(NamedTuple):
  """Detections: objects, and how sure the detector is of each.

  Attributes:
    image, label, box: as those of `Objects`.
    score: larger where it is surer.
  """

  image: Int[np.ndarray, " objects"]
  label: Int[np.ndarray, " objects"]
  box: Num[np.ndarray, "objects 4"]
  score: Float[np.ndarray, " objects"]


class Curve(NamedTuple):
  """Precision and recall among the first 1, 2, 3, ... detections, the surest first."""

  precision: Float[np.ndarray, " found"]
  recall: Float[np.ndarray, " found"]


def areas(boxes: Boxes) -> Float[np.ndarray, " boxes"]:
  """Areas in pixels; 0 for a box whose ends are not behind its begin."""
  return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(float).prod(axis=1)


def intersection_over_union(
  boxes: Num[np.ndarray, "boxes 4"], others: Num[np.ndarray, "others 4"]
) -> Float[np.ndarray, "boxes others"]:
  """The area in both of two boxes over that in either, for all pairs; 0 where both are empty."""
  begins = np.maximum(boxes[:, None, :2], others[None, :, :2])
  ends = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
  common = np.maximum(ends - begins, 0).astype(float).prod(axis=2)
  either = areas(boxes)[:, None] + areas(others)[None] - common
  return np.divide(common, either, out=np.zeros_like(common), where=either > 0)


def best_overlaps(boxes: Boxes, truth: Boxes) -> Float[np.ndarray, " boxes"]:
  """The largest overlap of each box with a true one; 0 where there is none."""
  return intersection_over_union(boxes, truth).max(axis=1, initial=0.0)


def suppress(
  boxes: Boxes, scores: Float[np.ndarray, " boxes"], overlap: float
) -> Int[np.ndarray, " kept"]:
  """Greedy non-maximum suppression: the places of the boxes that stay, the highest score first.

  A box goes where one of a higher score that stays overlaps it by more than `overlap`. Of equal
  scores the first is taken first.
  """
  order, kept = np.argsort(-scores, kind="stable"), []
  overlaps = intersection_over_union(boxes, boxes)
  while len(order):
    kept.append(order[0])
    order = order[1:][overlaps[order[0], order[1:]] <= overlap]
  return np.array(kept, int)


def right_detections(
  found: Found, truth: Objects, overlap: float, only_free: bool = False
) -> Bool[np.ndarray, " found"]:
  """Tells which detections of one class, the surest first, are right.

  By VOC's rule a detection belongs to the true box that it overlaps most, and is right where the
  overlap is at least `overlap` and no surer detection was right there. By COCO's (`only_free`) it
  belongs to the one that it overlaps most among those that are still free.
  """
  is_right = np.zeros(len(found.score), bool)
  is_free = np.ones(len(truth.image), bool)
  for rank, number in enumerate(np.argsort(-found.score, kind="stable")):
    there = np.flatnonzero(
      (truth.image == found.image[number]) & (is_free if only_free else np.ones_like(is_free))
    )
    if not len(there):
      continue
    overlaps = intersection_over_union(found.box[number][None], truth.box[there])[0]
    best = there[overlaps.argmax()]
    is_right[rank] = overlaps.max() >= overlap and is_free[best]
    is_free[best] &= not is_right[rank]
  return is_right


def precision_recall(
  found: Found, truth: Objects, overlap: float, only_free: bool = False
) -> Curve:
  """Precision and recall of detections of one class; see `right_detections` for the rules.

  Raises:
    ValueError: where there is nothing to find.
  """
  if not len(truth.image):
    raise ValueError("recall needs at least one true box")
  right = right_detections(found, truth, overlap, only_free).cumsum()
  return Curve(right / np.arange(1, len(right) + 1), right / len(truth.image))


def best_precision_beyond(curve: Curve, recalls: Float[np.ndarray, " n"]) -> np.ndarray:
  """The largest precision at each recall or a larger one [n]; 0 where none is reached."""
  reached = curve.recall[None] >= recalls[:, None]
  return np.where(reached, curve.precision[None], 0.0).max(axis=1, initial=0.0)


def at_eleven_recalls(curve: Curve) -> float:
  """Average precision as in VOC until 2009: the mean over recalls of 0, 0.1, ..., 1."""
  return float(best_precision_beyond(curve, np.arange(11) / 10).mean())


def area_under(curve: Curve) -> float:
  """Average precision as in VOC from 2010 on: the area under the falling curve, at all points."""
  steps = np.diff(curve.recall, prepend=0.0)
  falling = np.maximum.accumulate(curve.precision[::-1])[::-1]
  return float((steps * falling).sum())


def at_hundred_recalls(curve: Curve) -> float:
  """Average precision as in COCO: the mean over recalls of 0, 0.01, ..., 1."""
  return float(best_precision_beyond(curve, np.arange(101) / 100).mean())


def chosen(objects: Some, which: Bool[np.ndarray, " objects"]) -> Some:
  """Some of the objects or of the detections."""
  return type(objects)(*(field[which] for field in objects))


class Places(Protocol):
  """Anything with boxes in a set of images, as `Objects` has them."""

  @property
  def image(self) -> Int[np.ndarray, " boxes"]:
    """The number of the image of each."""
    ...

  @property
  def box(self) -> Num[np.ndarray, "boxes 4"]:
    """Its place."""
    ...


def recall(boxes: Places, truth: Objects, overlap: float = 0.5) -> float:
  """The share of the true boxes that a box of the same image overlaps by at least so much.

  Several boxes may find one object, and one box several; labels count for nothing.
  """
  shares = [
    best_overlaps(truth.box[truth.image == image], boxes.box[boxes.image == image]) >= overlap
    for image in np.unique(truth.image)
  ]
  return float(np.concatenate(shares).mean())


def pooled_curve(found: Found, truth: Objects, overlap: float) -> Curve:
  """Precision and recall of the detections of all classes, ranked together by their scores."""
  classes = max(found.label.max(initial=0), truth.label.max(initial=0)) + 1
  by_both = lambda objects: objects._replace(image=objects.image * classes + objects.label)
  return precision_recall(by_both(found), by_both(truth), overlap)


def mean_average_precision(
  found: Found,
  truth: Objects,
  overlap: float = 0.5,
  average: Callable[[Curve], float] = area_under,
  only_free: bool = False,
) -> float:
  """The mean over the classes that are there of their average precision.

  Args:
    found: detections of all classes.
    truth: what there is to find; detections of classes without any count for nothing.
    overlap: the least intersection over union of a right detection.
    average: of a class's curve; by default VOC's since 2010.
    only_free: the rule by which detections find their true boxes; see `right_detections`.

  Raises:
    ValueError: where there is nothing to find.
  """
  labels = np.unique(truth.label)
  if not len(labels):
    raise ValueError("a mean average precision needs at least one true box")
  curve = lambda label: precision_recall(
    chosen(found, found.label == label), chosen(truth, truth.label == label), overlap, only_free
  )
  return float(np.mean([average(curve(label)) for label in labels]))


def coco_mean_average_precision(found: Found, truth: Objects) -> float:
  """COCO's first number: the mean over classes and over overlaps of 0.5, 0.55, ..., 0.95.

  All detections of an image count, where COCO takes the hundred surest, and objects of all sizes.
  """
  at = lambda overlap: mean_average_precision(
    found, truth, overlap, average=at_hundred_recalls, only_free=True
  )
  return float(np.mean([at(overlap) for overlap in COCO_OVERLAPS]))
