"""Fits with what the command line asks of their evaluations: metrics of whole sets, patience."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from research.errors import UserError, unknown_name
from research.learner import Learner
from research.learner_transforms import with_set_metrics
from research.set_metrics import SET_METRICS
from research.training import Training


def read_names(text: str) -> tuple[str, ...]:
  """The names in the value of --metrics, each once.

  Raises:
    UserError: for an unknown one.
  """
  names = tuple(dict.fromkeys(name.strip() for name in text.split(","))) if text else ()
  for name in names:
    if name not in SET_METRICS:
      raise UserError(f"--metrics: {unknown_name(name, SET_METRICS, 'metric of whole sets')}")
  return names


def measured(training: Training, config: Any, names: Sequence[str]) -> Training:
  """The training whose evaluation sets are also measured as a whole; unchanged without names.

  Raises:
    UserError: where nothing says what the network's outputs stand for.
  """
  if not names:
    return training
  learner = training.learner
  count = (learner.classes(config) if learner.classes else {}).get("label", 0)
  if learner.outputs is None or count < 2:
    raise UserError(
      f"--metrics={','.join(names)} is of networks with an output for each class of a label, and "
      "this experiment has none; leave it out"
    )
  return training._replace(learner=_learner(learner, tuple(names)))


@functools.cache  # so that equal trainings still share one learner, and so one program
def _learner(learner: Learner, names: tuple[str, ...]) -> Learner:
  return with_set_metrics(learner, {name: SET_METRICS[name] for name in names})


def measured_by(
  make: Callable[[Any, int], Training], names: Sequence[str]
) -> Callable[[Any, int], Training]:
  """A training, as a function of config and seed, with its metrics of whole sets."""
  return functools.partial(_measured, make, tuple(names))


def _measured(
  make: Callable[[Any, int], Training], names: Sequence[str], config: Any, seed: int
) -> Training:
  return measured(make(config, seed), config, names)


def patient(name: str, training: Training, patience: int) -> Training:
  """The training of the fit `name` that ends after evaluations without a new best; 0 for never.

  Raises:
    UserError: where nothing ranks its checkpoints, or too few evaluations come for it to end early.
  """
  if not patience:
    return training
  if training.best is None:
    raise UserError(
      f"--patience={patience} counts evaluations without a new best, and nothing ranks those of "
      f"fit {name!r}: hold out a validation set, as in --validation=0.1, or leave it out"
    )
  evaluations = training.steps // training.evaluate_every
  if evaluations <= patience:
    raise UserError(
      f"--patience={patience} would never end fit {name!r}, which is evaluated {evaluations} "
      "times; give less, or a longer training"
    )
  return training._replace(patience=patience)


def refuse_uneven(name: str, training: Training, keep_every: int) -> None:
  """Refuses to keep checkpoints of steps at which no row of the fit `name` ends.

  Raises:
    UserError: naming the nearest number of steps that will do.
  """
  row = training.log_every
  if keep_every % row:
    nearest = max(round(keep_every / row), 1) * row
    raise UserError(
      f"--keep_every={keep_every}: fit {name!r} writes a row every {row:,} steps, and keeps "
      f"checkpoints at these only; give a multiple, such as {nearest}"
    )
