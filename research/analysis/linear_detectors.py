"""One linear support vector machine per class, taught with hard negatives.

Girshick et al. 2014, section 2.3: most regions show no object of a class and are easy to tell, so a
machine learns from some of them first, and then from those that it does not tell clearly. The
constants are those of the published code: C of 0.001 for features of mean length 20, positive
examples counted twice, a bias feature of 10.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from sklearn.svm import LinearSVC

C, LENGTH, POSITIVE_WEIGHT, BIAS_FEATURE = 1e-3, 20.0, 2.0, 10.0
HARD, EASY = -1.0, -1.2  # scores from which a negative is taken, and below which it is dropped
ROUNDS = 10  # at most

Features = Float[np.ndarray, "regions features"]


class Detectors(NamedTuple):
  """Linear machines, a column for each class."""

  weights: Float[np.ndarray, "features classes"]
  bias: Float[np.ndarray, " classes"]


def scale_of(features: Features) -> float:
  """The factor that gives features a mean length of 20."""
  return LENGTH / max(float(np.linalg.norm(features, axis=1).mean()), 1e-9)


def train(
  features: Features,
  is_positive: Sequence[Bool[np.ndarray, " regions"]],
  is_negative: Sequence[Bool[np.ndarray, " regions"]],
  first: int = 500,
) -> Detectors:
  """Machines for all classes.

  Args:
    features: of regions.
    is_positive: for each class, the regions that show an object of it.
    is_negative: for each class, those that do not; regions that are neither are not looked at.
    first: negatives that a machine begins with, drawn evenly; the hard ones of the rest follow.

  Raises:
    ValueError: for a class without an example or without a negative.
  """
  machines = [
    _train_one(features[positive], features[negative], first)
    for positive, negative in zip(is_positive, is_negative, strict=True)
  ]
  weights, biases = zip(*machines, strict=True)
  return Detectors(np.stack(weights, axis=1), np.array(biases))


def scores(detectors: Detectors, features: Features) -> Float[np.ndarray, "regions classes"]:
  """Signed distances to the planes, in margins: above 0 where a machine says yes."""
  return features @ detectors.weights + detectors.bias


def _train_one(
  positives: Features, negatives: Features, first: int
) -> tuple[Float[np.ndarray, " features"], float]:
  """Learns until no negative outside of the cache is hard."""
  if not len(positives) or not len(negatives):
    raise ValueError(f"{len(positives)} positive and {len(negatives)} negative examples of a class")
  is_cached = np.zeros(len(negatives), bool)
  is_cached[:: max(1, len(negatives) // first)] = True
  for _ in range(ROUNDS):
    cached = negatives[is_cached]
    labels = np.repeat([1, 0], [len(positives), len(cached)])
    machine = LinearSVC(
      loss="hinge",
      C=C,
      class_weight={1: POSITIVE_WEIGHT},
      intercept_scaling=BIAS_FEATURE,
      max_iter=20_000,
      random_state=0,
    ).fit(np.concatenate([positives, cached]), labels)
    weights, bias = machine.coef_[0], float(machine.intercept_[0])
    found = negatives @ weights + bias
    is_hard = (found > HARD) & ~is_cached
    if not is_hard.any():
      break
    is_cached = (is_cached & (found >= EASY)) | is_hard
  return weights, bias
