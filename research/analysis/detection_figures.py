"""Figures of detectors: boxes beside the truth, and precision against recall."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from research.analysis import detection
from research.analysis.detection import Found, Objects
from research.figures.boxes import Boxed, boxes_on_images
from research.figures.functions import Panel, function_curves
from research.report import Picture


def boxes_beside_truth(
  found: Found,
  truth: Objects,
  images: UInt8[np.ndarray, "images height width"],
  words: Sequence[str],
  least: float = 0.0,
) -> Picture:
  """The first images with what is there, and below with the detections of a score above `least`.

  `words` name the classes, the background's first.
  """

  def rows(objects: Objects | Found) -> list[Boxed]:
    own = [objects.image == number for number in range(len(images))]
    return [Boxed(objects.box[n], [words[label] for label in objects.label[n]]) for n in own]

  return boxes_on_images(
    images,
    {"truth": rows(truth), "found": rows(detection.chosen(found, found.score > least))},
    title="Objects in test images, and what is found",
    caption="Above, the visible parts of objects in their boxes. Below, the boxes that a class's "
    "detector says yes to.",
    file="detections",
  )


def precision_recall_curves(
  found: Mapping[str, Found], truth: Objects, overlaps: Sequence[float]
) -> Picture:
  """Precision against recall for detectors by name, all classes together, a panel per overlap."""
  panels = []
  for overlap in overlaps:
    curves = {name: detection.pooled_curve(own, truth, overlap) for name, own in found.items()}
    drawn = {name: (100 * curve.recall, 100 * curve.precision) for name, curve in curves.items()}
    panels.append(Panel("precision (%)", drawn, f"overlap of {overlap} at least"))
  return function_curves(
    panels,
    title="Precision and recall of detections",
    x="recall (%)",
    caption="Detections of all classes in the order of their scores.",
    file="precision_recall",
  )
