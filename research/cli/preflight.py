"""Checks of an experiment's own file before its training begins.

An experiment of the catalogue is tested; somebody's own file meets its first mistake in its report,
after hours of training, unless the report is tried before.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research import experiment_file
from research.errors import UserError
from research.lab import unread
from research.lab.experiment import Experiment
from research.lab.resume import warn
from research.report import Report
from research.store.host_state import from_host, to_host
from research.training import Fit, HostData, Training, on_device

EXAMPLES = 64  # of each evaluation set, on which the report is tried
ROWS = 20  # of the history, with which it is tried
REPORTS = ("report.py",)  # where a claim, a bar or a picture is refused
MISTAKES = (NameError, AttributeError, TypeError, ImportError)  # which no training would mend


def check_settings(experiment: Experiment) -> None:
  """Checks that the Config can be made, and warns of the fields that nothing reads.

  Raises:
    UserError: naming the file and line.
  """
  assert experiment.file
  config = experiment_file.in_one_line(experiment.file, experiment.Config)
  if not dataclasses.is_dataclass(config):
    raise UserError(
      f"{experiment.file}: Config is no config; put @ln.pytree_config before its class"
    )
  for name in unread.declared(experiment):
    place = experiment_file.place_of_field(experiment.file, name)
    warn(f"{place}: nothing reads the field {name!r}")


def try_report(experiment: Experiment, config: Any, seed: int) -> None:
  """Makes the report of the single fit from its first state and made-up numbers.

  Claims whose number is missing are warned of.

  Raises:
    UserError: for a mistake in the report, with its file and line; what may come of the made-up
      numbers is none.
  """
  if experiment.training is None or experiment.report is None:
    return
  path, report = experiment.file or Path(experiment.name), experiment.report
  training = experiment_file.in_one_line(path, lambda: experiment.training(config, seed))  # type: ignore[misc]
  if not isinstance(training, Training):
    kind = type(training).__name__
    raise UserError(f"{path}: training returns a value of type {kind}; return an ln.Training")
  fit = experiment_file.in_one_line(path, lambda: _stand_in(config, training, seed))
  try:
    found: Any = report(config, fit)
  except MISTAKES as error:
    raise _refusal(error, path) from error
  except ValueError as error:
    if _is_raised_in_reports(error):
      raise _refusal(error, path) from error
    return
  except KeyError as error:
    if "/" in str(error):
      known = ", ".join(name for name in fit.history[-1] if "/" in name)
      place = experiment_file.place_of(error, path)
      raise UserError(f"{place}: no row has the metric {error}; there are {known}") from error
    return
  except Exception:  # perhaps of a net that has learnt nothing
    return
  if not isinstance(found, Report):
    kind = type(found).__name__
    raise UserError(f"{path}: report returns a value of type {kind}; return an ln.Report")
  for claim in found.claims:
    if not np.isfinite(claim.ours):
      known = ", ".join(name for name in fit.history[-1] if "/" in name)
      warn(f"{path}: the claim {claim.id} has no number; the rows' metrics are {known}")


def _refusal(error: Exception, path: Path) -> UserError:
  said = " ".join(str(error).split())
  place = experiment_file.place_of(error, path)
  return UserError(f"{place}: the report cannot be made: {type(error).__name__}: {said}")


def _is_raised_in_reports(error: Exception) -> bool:
  trace = error.__traceback__
  while trace and trace.tb_next:
    trace = trace.tb_next
  return trace is not None and Path(trace.tb_frame.f_code.co_filename).name in REPORTS


def _stand_in(config: Any, training: Training, seed: int) -> Fit:
  """A fit that has learnt nothing, with the metrics that its rows will have."""
  learner = training.learner
  settings, key = on_device(config), jax.random.key(seed)
  template = jax.eval_shape(learner.init, settings, key)
  initial = lambda: from_host(to_host(jax.jit(learner.init)(settings, key)), template)
  few = {
    split: {name: array[:EXAMPLES] for name, array in data.items()}
    for split, data in training.evaluate.items()
  }
  row = dict.fromkeys(_metrics(training, settings, template), 0.5)
  every = max(training.log_every, training.steps // ROWS)
  steps = [*range(0, training.steps, every), training.steps]
  history = [{"fit": "train", "step": step, **row} for step in steps]
  return Fit("train", config, initial(), history, initial, training._replace(evaluate=few))


def _metrics(training: Training, settings: Any, state: Any) -> list[str]:
  """The names of a row's metrics."""

  def batch(data: HostData, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    shapes = {name: (size, *array.shape[1:]) for name, array in data.items()}
    return {n: jax.ShapeDtypeStruct(shape, data[n].dtype) for n, shape in shapes.items()}

  learner = training.learner
  size = training.sampler.batch_size
  _, stepped = jax.eval_shape(learner.step, settings, state, batch(training.data, size))
  names = [f"train/{name}" for name in stepped]
  for split, data in training.evaluate.items():
    found = jax.eval_shape(learner.evaluate, settings, state, batch(data, 2))
    names += [f"{split}/{name}" for name in found]
  return names
