"""An experiment as a value: its settings, and the functions that run with them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.errors import UserError
from research.figures.curves import learning_curves
from research.lab.class_report import with_classes
from research.lab.lab import Lab
from research.report import Report
from research.training import Fit, Training


class Experiment(NamedTuple):
  """An experiment, under the name `experiment` in its file.

  Attributes:
    Config: the class of its settings, whose defaults are the experiment's own.
    run: conducts it: trains what it needs by the lab's `fit` and `compare`, and reports.
    training: its single fit as a function of config and seed, where it has one; a sweep repeats it.
    report: what is found in that single fit; a sweep draws the figures of its winner with it.
    verified: the settings, each as changes of the defaults, at which --verify measures it.
    takes: those of the flags "lanes" and "engine" of which `run` makes use by itself: it compares
      side by side, or searches. A sweep of the experiment takes both.
    is_single_fit: tells that `run` only trains once and reports.
    name: of its file, or as a package names it.
    file: in which it stands.
    flag: the value by which --experiment names it.
  """

  Config: type[Any]
  run: Callable[[Any, Lab], Report]
  training: Callable[[Any, int], Training] | None = None
  report: Callable[[Any, Fit], Report] | None = None
  verified: Sequence[Mapping[str, Any]] = ({},)
  takes: Sequence[str] = ()
  is_single_fit: bool = False
  name: str = ""
  file: Path | None = None
  flag: str = ""


def single_fit(
  Config: type[Any],
  training: Callable[[Any, int], Training],
  report: Callable[[Any, Fit], Report] | None = None,
) -> Experiment:
  """The experiment that trains once and reports on what came of it: by default the curves alone."""
  report = report or _curves
  run = functools.partial(_run, training, report)
  return Experiment(Config, run, training, report, is_single_fit=True)


def alone(experiment: Experiment) -> Experiment:
  """The experiment as its single fit, without the comparison or search that it makes by itself.

  Raises:
    UserError: for an experiment without a single fit, or with nothing else.
  """
  if experiment.training is None:
    raise UserError(f"--single_fit: {experiment.name} has no single fit; leave it out")
  if experiment.is_single_fit:
    raise UserError(f"--single_fit: {experiment.name} is a single fit by itself; leave it out")
  fit = single_fit(experiment.Config, experiment.training, experiment.report)
  return fit._replace(name=experiment.name, file=experiment.file, flag=experiment.flag)


def _curves(config: Any, fit: Fit) -> Report:
  """The learning curves of a fit about which its experiment says nothing by itself."""
  if not any(name.endswith(("/loss", "/accuracy")) for row in fit.history for name in row):
    return Report([], [])
  caption = "Loss, and accuracy where there is one, on each set."
  return Report([], [learning_curves(fit, title="The single fit", caption=caption)])


def _run(
  training: Callable[[Any, int], Training],
  report: Callable[[Any, Fit], Report],
  config: Any,
  lab: Lab,
) -> Report:
  fit = lab.fit("train", config, training(config, lab.seed))
  found = report(config, fit)
  return with_classes(found, fit) if lab.conditions.metrics else found
