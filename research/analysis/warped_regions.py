"""Regions of images, warped to one size, beside the objects that they overlap.

Girshick et al. 2014, section 2.1 and appendix A: whatever the shape of a region, the pixels in its
box become a square of fixed size, with a rim of what lies around it. What lies outside of the image
has the image's mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8

from research.analysis.detection import Boxes, Found, Objects, intersection_over_union, suppress


class Regions(NamedTuple):
  """Regions of a set of images.

  Attributes:
    image: the number of the image of each.
    box: its place.
    warped: its pixels.
    overlap: its largest overlap with an object of each class; class 0, the background, has 0.
    nearest: the true box that it overlaps most.
    label: the class of that object; 0 where it overlaps none.
    is_truth: whether it is a true box itself.
  """

  image: Int[np.ndarray, " regions"]
  box: Num[np.ndarray, "regions 4"]
  warped: UInt8[np.ndarray, "regions size size 1"]
  overlap: Float[np.ndarray, "regions classes"]
  nearest: Num[np.ndarray, "regions 4"]
  label: Int[np.ndarray, " regions"]
  is_truth: Bool[np.ndarray, " regions"]


def warp(
  image: Num[np.ndarray, "height width"], boxes: Boxes, size: int, rim: int
) -> UInt8[np.ndarray, "boxes size size 1"]:
  """The contents of boxes, by bilinear interpolation, in a rim of what lies around them.

  Args:
    image: levels of grey, 0 to 255.
    boxes: not empty.
    size: pixels along a side of the result.
    rim: of them along each edge; the box itself fills the rest.
  """
  padded = np.pad(image.astype(float), 1, constant_values=image.mean())
  place = (np.arange(size) + 0.5 - rim) / (size - 2 * rim)  # 0 and 1 are the ends of the box
  ends = boxes.astype(float)
  parts = []
  for begin, end, length in ((ends[:, 0], ends[:, 2], 0), (ends[:, 1], ends[:, 3], 1)):
    at = begin[:, None] + place * (end - begin)[:, None] + 0.5  # of the padded image's pixels
    at = np.clip(at, 0, image.shape[length] + 1)
    low = np.minimum(at.astype(int), image.shape[length])
    parts.append((low, at - low))
  (rows, down), (columns, along) = parts
  down, along = down[:, :, None], along[:, None]
  corner = lambda below, right: padded[rows[:, :, None] + below, columns[:, None] + right]
  upper = (1 - along) * corner(0, 0) + along * corner(0, 1)
  lower = (1 - along) * corner(1, 0) + along * corner(1, 1)
  return np.rint((1 - down) * upper + down * lower).astype(np.uint8)[..., None]


def regions_of(
  images: UInt8[np.ndarray, "images height width"],
  truth: Objects,
  proposals: Sequence[Boxes],
  classes: int,
  with_truth: bool,
  size: int = 24,
  rim: int = 2,
) -> Regions:
  """Warps the proposals of all images and measures their overlap with the objects.

  Args:
    images: levels of grey.
    truth: objects of classes 1 to classes - 1.
    proposals: boxes for each image.
    classes: with the background.
    with_truth: whether the true boxes are regions too, to learn from.
    size: pixels along a side of a warped region.
    rim: see `warp`.
  """
  parts = []
  for number, (image, proposed) in enumerate(zip(images, proposals, strict=True)):
    own = truth.image == number
    box, label = truth.box[own], truth.label[own]
    boxes = np.concatenate([box, proposed]) if with_truth else proposed
    overlaps = intersection_over_union(boxes, box)
    of_class = lambda c, overlaps=overlaps, label=label: overlaps[:, label == c].max(1, initial=0)
    best = overlaps.argmax(axis=1)
    parts.append(
      Regions(
        image=np.full(len(boxes), number),
        box=boxes,
        warped=warp(image, boxes, size, rim),
        overlap=np.stack([of_class(c) for c in range(classes)], axis=1),
        nearest=box[best],
        label=np.where(overlaps.max(axis=1) > 0, label[best], 0),
        is_truth=np.arange(len(boxes)) < (len(box) if with_truth else 0),
      )
    )
  return Regions(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def detections(
  regions: Regions,
  scores: Float[np.ndarray, "regions classes"],
  boxes: Num[np.ndarray, "regions classes 4"],
  overlap: float | None,
) -> Found:
  """The regions as detections of every class, without doubles.

  Args:
    regions: of all images.
    scores: for classes 1, 2, ...
    boxes: of each region as an object of each class.
    overlap: from which on suppression takes two for one; None leaves all.
  """
  parts = []
  for number in np.unique(regions.image):
    own = np.flatnonzero(regions.image == number)
    for place in range(scores.shape[1]):
      box, score = boxes[own, place], scores[own, place]
      if overlap is not None:
        kept = suppress(box, score, overlap)
        box, score = box[kept], score[kept]
      same = np.ones(len(score), int)
      parts.append(Found(number * same, (place + 1) * same, box, score))
  return Found(*(np.concatenate(field) for field in zip(*parts, strict=True)))
