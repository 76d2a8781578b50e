"""The answers of a trained classifier to new inputs, as its training would have seen them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from research.batch import Batch
from research.class_balance import CLASS_WEIGHT
from research.data import sets
from research.errors import UserError
from research.learner import State
from research.training import Training, on_device

INPUT = "image"  # the field of the data that is classified: images, or the columns of a table
FIELDS = {INPUT, "label", CLASS_WEIGHT}  # of a classifier's data
LARGEST_BATCH = 256


class Prediction(NamedTuple):
  """The answers to several inputs.

  Attributes:
    labels: the most probable class of each input, as the training numbers them; [inputs].
    probabilities: of all classes, for each input; [inputs, classes].
    class_names: by label.
  """

  labels: Int[np.ndarray, " inputs"]
  probabilities: Float[np.ndarray, "inputs classes"]
  class_names: tuple[str, ...]

  def as_json(self, number: int) -> dict[str, Any]:
    """The answer to one input, with every class's probability by its name."""
    shares = [round(float(share), 6) for share in self.probabilities[number]]
    label = int(self.labels[number])
    return {
      "class": self.class_names[label],
      "label": label,
      "probability": shares[label],
      "probabilities": dict(zip(self.class_names, shares, strict=True)),
    }


class Inputs(NamedTuple):
  """The form in which the training has its inputs: the shape of one, and the type of number."""

  shape: tuple[int, ...]
  dtype: np.dtype


def inputs_of(training: Training, name: str) -> Inputs:
  """Returns what a classifier takes.

  Raises:
    UserError: where the training is of no classifier of images or of the columns of a table.
  """
  array = training.data.get(INPUT)
  if training.learner.outputs is None or array is None or set(training.data) - FIELDS:
    raise UserError(
      f"{name} is no classifier of images or of the columns of a table, which alone can be asked"
    )
  return Inputs(tuple(array.shape[1:]), np.dtype(array.dtype))


def network(training: Training, config: Any, state: State) -> Callable[[Batch], Any]:
  """The trained network as a compiled function of a batch, which gives its outputs."""
  outputs = training.learner.outputs
  assert outputs is not None  # `inputs_of` refuses it
  compiled = jax.jit(functools.partial(outputs, on_device(config)))
  return functools.partial(compiled, state)


def predict(
  model: Callable[[Batch], Any], x: np.ndarray, wanted: Inputs, class_names: tuple[str, ...]
) -> Prediction:
  """Classifies inputs.

  Args:
    model: the outputs of a batch are a logit for every class.
    x: [inputs, ...], of the type and in the units of the training's data.
    wanted: the form of the training's data.
    class_names: by label; () numbers them.

  Raises:
    UserError: where the inputs have another shape or type.
  """
  x = np.asarray(x)
  is_close = np.can_cast(x.dtype, wanted.dtype, "same_kind")
  is_whole = x.dtype.kind in "iu" and wanted.dtype.kind in "iu"  # Python's own are 64 bits wide
  if x.shape[1:] != wanted.shape or not (is_close or is_whole):
    raise UserError(
      f"inputs of shape {x.shape[1:]} and type {x.dtype}; this network takes {wanted.shape} of "
      f"type {wanted.dtype}"
    )
  if wanted.dtype.kind in "iu" and x.size:
    bounds = np.iinfo(wanted.dtype)
    if x.min() < bounds.min or x.max() > bounds.max:
      raise UserError(f"inputs from {x.min()} to {x.max()}; give {bounds.min} to {bounds.max}")
  if not np.isfinite(x).all():
    raise UserError(f"input {int(np.argwhere(~np.isfinite(x))[0][0])} holds a value that is none")
  parts = [x[first : first + LARGEST_BATCH] for first in range(0, len(x), LARGEST_BATCH)]
  logits = [np.asarray(model({INPUT: jnp.asarray(part, wanted.dtype)})) for part in parts]
  if any(each.ndim != 2 for each in logits):
    raise UserError("the network's outputs are no logits of classes")
  shares = np.concatenate([np.asarray(jax.nn.softmax(jnp.asarray(each))) for each in logits])
  names = class_names or tuple(str(label) for label in range(shares.shape[1]))
  if len(names) < shares.shape[1]:  # such as a network with outputs that no class uses
    names += tuple(str(label) for label in range(len(names), shares.shape[1]))
  return Prediction(shares.argmax(axis=1), shares, names)


def class_names_of(config: Any) -> tuple[str, ...]:
  """The names of the classes of a config's data set; () where they have none but numbers."""
  name = getattr(config, "dataset", None)
  return sets.spec(name).class_names if isinstance(name, str) else ()


def image_inputs(wanted: Inputs, files: list[Path]) -> np.ndarray:
  """Reads image files as the training's own were read.

  Raises:
    UserError: where the network takes no images with 8 bits a channel, or a file is none.
  """
  from research.data.image_files import read_image  # Pillow takes a while to import

  if len(wanted.shape) != 3 or wanted.dtype != np.uint8 or wanted.shape[-1] not in (1, 3):
    raise UserError(
      f"{files[0]}: this network takes {wanted.shape} of type {wanted.dtype}, and no image files; "
      "give CSV rows"
    )
  return np.stack([read_image(file, wanted.shape) for file in files])
