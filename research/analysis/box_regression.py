"""Boxes moved nearer to objects by ridge regression (Girshick et al. 2014, appendix C).

For a box with centre (x, y), width w and height h and a true one with X, Y, W and H the targets are
tx = (X - x) / w, ty = (Y - y) / h, tw = log(W / w) and th = log(H / h). A regression from the
features of what the box shows predicts them for a box whose truth is not known.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

from research.analysis.detection import Boxes

Features = Float[np.ndarray, "boxes features"]
Targets = Float[np.ndarray, "boxes 4"]

FARTHEST = 1.0  # a side becomes at most e times as long or as short


class Regression(NamedTuple):
  """A linear map of features to targets.

  Attributes:
    centre: mean of the features that it was fitted to.
    weights: by feature and target.
    bias: mean of the targets.
  """

  centre: Float[np.ndarray, " features"]
  weights: Float[np.ndarray, "features 4"]
  bias: Float[np.ndarray, "4"]


def targets(boxes: Boxes, truth: Boxes) -> Targets:
  """The steps (tx, ty, tw, th) from each box to its true one; boxes are not empty."""
  (y, x, height, width), (true_y, true_x, true_height, true_width) = _parts(boxes), _parts(truth)
  steps = (true_x - x) / width, (true_y - y) / height
  return np.stack([*steps, np.log(true_width / width), np.log(true_height / height)], axis=1)


def moved(boxes: Boxes, steps: Targets) -> Float[np.ndarray, "boxes 4"]:
  """The boxes that lie at those steps: the inverse of `targets`, but for sides of e-fold change."""
  y, x, height, width = _parts(boxes)
  tx, ty, tw, th = steps.T
  new_x, new_y = x + tx * width, y + ty * height
  new_width, new_height = (
    side * np.exp(np.clip(change, -FARTHEST, FARTHEST))
    for side, change in ((width, tw), (height, th))
  )
  half_height, half_width = new_height / 2, new_width / 2
  ends = new_y - half_height, new_x - half_width, new_y + half_height, new_x + half_width
  return np.stack(ends, axis=1)


def fit(features: Features, steps: Targets, penalty: float) -> Regression:
  """Ridge regression: minimises the squared errors plus `penalty` times the squared weights.

  Features and targets are centred, so that the bias is not punished. Without examples it predicts
  zeros.
  """
  if not len(features):
    width = features.shape[1]
    return Regression(np.zeros(width), np.zeros((width, 4)), np.zeros(4))
  centre, bias = features.mean(axis=0), steps.mean(axis=0)
  x = (features - centre).astype(float)
  matrix = x.T @ x + penalty * np.eye(x.shape[1])
  weights = scipy.linalg.solve(matrix, x.T @ (steps - bias), assume_a="pos")
  return Regression(centre, weights, bias)


def predict(regression: Regression, features: Features) -> Targets:
  """The predicted steps."""
  return (features - regression.centre) @ regression.weights + regression.bias


def _parts(boxes: Boxes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Rows and columns of the centres, heights and widths."""
  top, left, bottom, right = boxes.astype(float).T
  return (top + bottom) / 2, (left + right) / 2, bottom - top, right - left
