"""Classes of unequal size: their weights in the training loss, or draws that make them equal.

Evaluations stay what they are. A training example's weight is a field of the data, so that it goes
with its example wherever that goes: into a batch, to a device, out of a held-out part.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer

from research.data import sampling
from research.data.sampling import Sampler
from research.errors import UserError

CLASS_WEIGHT = "class_weight"  # the field of the data
BALANCED = "balanced"


def weighted(train: Mapping[str, np.ndarray], weights: str | None) -> Mapping[str, np.ndarray]:
  """The training data with the weight of each example's loss; unchanged where weights is None.

  A batch's loss is the mean of the weighted losses over its examples.

  Args:
    train: fields by name, "label" among them.
    weights: "balanced" (see `balanced_weights`) or the classes' numbers, divided by commas.

  Raises:
    UserError: where there are no labels, or the numbers are not one for each class.
  """
  if weights is None:
    return train
  labels = _labels(train, "class_weights")
  by_class = balanced_weights(labels) if weights == BALANCED else _numbers(weights, labels)
  return {**train, CLASS_WEIGHT: by_class[labels].astype(np.float32)}


def balanced_weights(labels: Integer[np.ndarray, " n"]) -> Float32[np.ndarray, " classes"]:
  """Weights by which all classes count alike, with mean 1 over the examples.

  A class of n_c among n examples in k classes has n / (k n_c) (King and Zeng 2001), one without
  examples 0.
  """
  counts = np.bincount(labels)
  present = counts > 0
  return np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 0).astype(
    np.float32
  )


def drawn(train: Mapping[str, np.ndarray], how: str | None) -> Callable[[int], Sampler] | None:
  """The sampler, of a batch size, that draws classes alike; None where `how` is.

  Raises:
    UserError: where there are no labels.
  """
  if how is None:
    return None
  _labels(train, "class_sampling")
  return sampling.balanced


def refuse_without_classes(train: Mapping[str, np.ndarray], optimizer: Any) -> None:
  """Refuses an optimizer's settings for classes where the data have none.

  Raises:
    UserError: naming the setting.
  """
  for name in ("class_weights", "class_sampling"):
    if getattr(optimizer, name) is not None:
      _labels(train, name)


def _labels(train: Mapping[str, np.ndarray], setting: str) -> np.ndarray:
  labels = np.asarray(train.get("label", 0))
  if labels.ndim != 1 or labels.dtype.kind not in "iu":
    raise UserError(
      f"optimizer.{setting}: this experiment's examples have no class each; leave it out"
    )
  return labels


def _numbers(text: str, labels: np.ndarray) -> np.ndarray:
  classes = int(labels.max()) + 1
  try:
    found = np.array([float(part) for part in text.split(",")])
  except ValueError:
    found = np.zeros(0)
  if len(found) != classes or not np.isfinite(found).all() or (found < 0).any() or not found.any():
    raise UserError(
      f"optimizer.class_weights={text}: give {BALANCED}, or {classes} numbers from 0 up for the "
      "classes in their order, divided by commas"
    )
  return found
