"""The linear parts of R-CNN, learnt from a network's features: scores of regions, moves of boxes.

Girshick et al. 2014, sections 2.3 and 3.5 and appendix C.
"""

from typing import NamedTuple

import jax
import numpy as np
import scipy.special
from jaxtyping import Float

from research.analysis import box_regression, linear_detectors
from research.analysis.box_regression import Regression
from research.analysis.detection import Found
from research.analysis.linear_detectors import Detectors
from research.analysis.warped_regions import Regions, detections
from research.batch import by_parts, inputs_of
from research.models.region_net import RegionNet
from research.training import Fit

NEGATIVE, NEAR = 0.3, 0.6  # overlaps below which a machine, and above which a regression learns
PENALTY = 1000 / 9216  # the published penalty, for each of the published features
BLOCK = 1000  # regions that the network sees at once
SUPPRESSED = 0.3  # overlap above which the worse of two boxes goes


class Features(NamedTuple):
  """Activations of a network for regions.

  Attributes:
    maps: of its last convolution, which know places; regressions read them.
    hidden: its last hidden layer, which machines read.
    logits: of the background and the classes.
  """

  maps: Float[np.ndarray, "regions maps"]
  hidden: Float[np.ndarray, "regions hidden"]
  logits: Float[np.ndarray, "regions classes"]


class Detector(NamedTuple):
  """Linear machines and regressions, one of each for a class.

  Attributes:
    machines: of the hidden layer.
    regressions: of the maps.
    scales: factors of maps and of the hidden layer, which give both a mean length of 20.
  """

  machines: Detectors
  regressions: list[Regression]
  scales: tuple[float, float]


def features_of(fit: Fit, regions: Regions) -> Features:
  """Activations of a fitted `RegionNet` for all regions."""
  network = RegionNet(len(fit.state.params["logits"]["bias"]))
  variables = {"params": fit.state.params}
  stages = jax.jit(
    lambda image: network.apply(variables, inputs_of({"image": image}), method="stages")
  )
  return Features(*by_parts(stages, regions.warped, BLOCK))


def learn(features: Features, regions: Regions) -> Detector:
  """Learns from regions with the true boxes among them.

  A machine's examples are the true boxes of its class, its negatives the regions that overlap
  none of them by 0.3. A regression's examples are the proposals that overlap an object of its class
  most, and by more than 0.6; its penalty is 1000, times the number of features over the published
  9,216.

  Raises:
    ValueError: where a class has no object.
  """
  maps, hidden, _ = features
  of_maps, of_hidden = map(linear_detectors.scale_of, (maps, hidden))
  classes = range(1, regions.overlap.shape[1])
  machines = linear_detectors.train(
    of_hidden * hidden,
    [regions.is_truth & (regions.label == c) for c in classes],
    [regions.overlap[:, c] < NEGATIVE for c in classes],
  )
  is_near = (regions.overlap.max(axis=1) > NEAR) & ~regions.is_truth
  near = [np.flatnonzero(is_near & (regions.label == c)) for c in classes]
  regressions = [
    box_regression.fit(
      of_maps * maps[own],
      box_regression.targets(regions.box[own], regions.nearest[own]),
      PENALTY * maps.shape[1],
    )
    for own in near
  ]
  return Detector(machines, regressions, (of_maps, of_hidden))


def detect(
  detector: Detector,
  features: Features,
  regions: Regions,
  size: int,
  by_softmax: bool = False,
  is_moved: bool = True,
  is_suppressed: bool = True,
) -> Found:
  """Detections in images of `size` by `size` pixels, with each part of the detector or without.

  Args:
    detector: what was learnt.
    features: of the regions.
    regions: to be judged.
    size: moved boxes end where the image does.
    by_softmax: whether the network's own probabilities are the scores.
    is_moved: whether the regressions move the boxes.
    is_suppressed: whether of two boxes of a class that overlap by more than 0.3 the worse goes.
  """
  maps, hidden, logits = features
  of_maps, of_hidden = detector.scales
  if by_softmax:
    scores = scipy.special.softmax(logits.astype(float), axis=1)[:, 1:]
  else:
    scores = linear_detectors.scores(detector.machines, of_hidden * hidden)
  steps = [
    is_moved * box_regression.predict(regression, of_maps * maps)
    for regression in detector.regressions
  ]
  moved = np.stack([box_regression.moved(regions.box, own) for own in steps], axis=1)
  return detections(regions, scores, np.clip(moved, 0, size), SUPPRESSED if is_suppressed else None)
