"""A validation set taken from the examples that a training would learn from."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from research.data import npy_sets, sampling, stratify
from research.errors import UserError
from research.sweep.slots import metrics_of
from research.training import HostData, Training

BEST = ("validation/accuracy", "validation/loss")


def with_validation(training: Training, share: float, seed: int) -> Training:
  """The training on all but a share of its examples, evaluated on these as "validation".

  They are drawn by the seed: class by class where the data have one "label" each, else plainly.
  Where batches continue each other, they are the last batches: the end of every strand of a text.
  What is left keeps its order. Steps, rows and evaluations stay where they were, so that the
  settings mean the same number of updates; what they call an epoch goes over the smaller set
  1 / (1 - share) times. A set to evaluate that holds training examples alone loses those that are
  held out, and others, such as the test set, stay. A best checkpoint that a test metric would have
  chosen is chosen by that metric on the validation set.

  Raises:
    UserError: where there are no examples to hold out, or a validation set already; where one batch
      is all there is to learn from; where either part would be empty.
  """
  if not training.data:
    raise UserError(
      f"--validation={share:g} holds out examples, and this experiment learns from its own "
      "actions; leave it out"
    )
  if "validation" in training.evaluate:
    raise UserError(
      f"--validation={share:g}: this experiment has a validation set of its own; leave it out"
    )
  batch_size, examples = training.sampler.batch_size, len(next(iter(training.data.values())))
  are_in_order = training.sampler == sampling.in_order(batch_size)
  if are_in_order and examples <= batch_size:
    raise UserError(
      f"--validation={share:g}: every step of this experiment learns from all its examples, and "
      "none can be held out; leave it out"
    )
  unit = batch_size if are_in_order else 1
  count = unit * round(share * examples / unit)
  if not 0 < count < examples:
    what = f"{examples // unit} batches" if are_in_order else f"{examples} training examples"
    raise UserError(
      f"--validation={share:g} of {what} leaves one of the two sets empty; give another share"
    )
  drawn = np.arange(examples) >= examples - count if are_in_order else _draw(training, count, seed)
  kept, held_out = _where(training.data, ~drawn), _where(training.data, drawn)
  sets = {name: _without(data, training.data, kept) for name, data in training.evaluate.items()}
  best = training.best
  return training._replace(
    data=kept,
    evaluate={"validation": held_out, **sets},
    best=best and best.replace("test/", "validation/"),
  )


def _draw(training: Training, count: int, seed: int) -> np.ndarray:
  """Tells for each example whether it is one of the `count` that are held out."""
  labels = np.asarray(training.data.get("label", 0))
  if labels.ndim != 1 or labels.dtype.kind not in "iu":
    examples = len(next(iter(training.data.values())))
    labels = np.zeros(examples, np.int32)  # one class: a plain random draw
  return stratify.draw(labels, count, seed)


def ranked(training: Training, config: Any) -> Training:
  """The training with checkpoints ranked by its validation set, where nothing ranks them yet.

  The metric is the accuracy, or else the loss; where there is neither, there is no rank.
  """
  metrics = metrics_of(training, config)
  best = next((each for each in BEST if each in metrics), None)
  return training if training.best else training._replace(best=best)


def validated(training: Callable[[Any, int], Training], share: float) -> Callable[..., Training]:
  """A training, as a function of config and seed, with its validation set and rank."""
  return functools.partial(_validated, training, share)


def _validated(
  training: Callable[[Any, int], Training], share: float, config: Any, seed: int
) -> Training:
  return ranked(with_validation(training(config, seed), share, seed), config)


def validated_where_it_can(training: Training, config: Any, share: float, seed: int) -> Training:
  """The training with a validation set; unchanged where the share is 0, it has one, or no data."""
  if not share or not training.data or "validation" in training.evaluate:
    return training
  return ranked(with_validation(training, share, seed), config)


def _where(data: HostData, chosen: np.ndarray) -> HostData:
  return {name: npy_sets.chosen(array, chosen) for name, array in data.items()}


def _without(data: HostData, whole: HostData, kept: HostData) -> HostData:
  """The examples that are kept, of a set that is a part of the whole; any other set as it is."""
  shared = sorted(data.keys() & whole.keys())
  if not shared or any(data[name].shape[1:] != whole[name].shape[1:] for name in shared):
    return data
  if all(data[name] is whole[name] for name in shared):
    return {**data, **{name: kept[name] for name in shared}}
  if any(isinstance(whole[name], np.memmap) for name in shared):
    return data  # a file of its own; to compare them would take both into memory
  own = _examples(data, shared)
  if not set(own) <= set(_examples(whole, shared)):
    return data
  left = set(_examples(kept, shared))
  return _where(data, np.array([example in left for example in own], bool))


def _examples(data: HostData, names: list[str]) -> list[tuple[bytes, ...]]:
  """The bytes of each example."""
  rows = [[row.tobytes() for row in np.asarray(data[name])] for name in names]
  return list(zip(*rows, strict=True))


def training_of_repeat(
  training: Callable[[Any, int], Training], seed: int, share: float, config: Any, repeat: int
) -> Training:
  """Returns the training of a trial's repetition, whose data and held-out share are its seed's."""
  seed += repeat
  return validated_where_it_can(training(config, seed), config, share, seed)
