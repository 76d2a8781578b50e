"""The verb `study`: a baseline and a change at paired seeds, each run as any other."""

from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from research.cli import common_flags, runner
from research.config import digest, fields, flatten, replace, split_list
from research.errors import UserError, unknown_name
from research.lab import measured, run_results
from research.lab.experiment import Experiment
from research.lab.registry import Entry
from research.reporting import study_report
from research.sweep.slots import metrics_of
from research.training import Options


def define(values: flags.FlagValues) -> None:
  """Defines the flags that only this verb has."""
  text = lambda name, help: flags.DEFINE_string(name, None, help, flag_values=values)
  text("change", "what is changed, as in 'optimizer.learning_rate=0.01; epochs=3'")
  text("metric", "what is compared, as in test/loss; by default what says most")
  text("fit", "which fit's metric, where an experiment has several: its name, or NAME/MEMBER")


def changes(config: Any, text: str | None) -> dict[str, Any]:
  """Reads a change of settings, as in "optimizer.learning_rate=0.01; epochs=3".

  Raises:
    UserError: for an unknown setting, a value that is not allowed, or a change of nothing.
  """
  found, known = {}, {field.name: field for field in fields(config)}
  for part in filter(None, split_list(text or "", ";")):
    name, is_given, value = (word.strip() for word in part.partition("="))
    if not is_given:
      raise UserError(f"--change={part!r} is no setting; write NAME=VALUE; NAME=VALUE")
    if name not in known:
      raise UserError(f"--change: {unknown_name(name, known, 'setting')}")
    try:
      found[name] = known[name].parse_item(value)
    except ValueError as error:
      raise UserError(f"--change: {name}={error}") from error
  if replace(config, found) == config:
    raise UserError("study compares with a change; give one, as in --change='epochs=3'")
  return found


def study(
  entry: Entry,
  experiment: Experiment,
  config: Any,
  values: flags.FlagValues,
  options: Options,
  folder: Path | None,
  command: str,
) -> Path:
  """Runs baseline and change at seeds from --seed on, and reports the paired difference.

  Every run lies in its own folder, so that an interrupted study goes on where it was, more seeds
  reuse those that are there, and a run that other code made is made again.

  Args:
    entry: of the experiment.
    experiment: that is run.
    config: of the baseline.
    values: the flags: what is changed, and what is compared.
    options: how to run.
    folder: of the report; None puts it beside the runs.
    command: that asked for it, for the report.

  Returns:
    The report's path.

  Raises:
    UserError: for a change or a metric that there is none of.
    InterruptedRun: after a signal.
  """
  change, seed, seeds = changes(config, values["change"].value), values.seed, values.seeds or 5
  metric, fit = values["metric"].value, values["fit"].value
  conditions = common_flags.conditions(values)
  which: dict[str, Any] = {"conditions": conditions, "single_fit": values.single_fit}
  if seeds < 2:
    raise UserError("study compares over paired seeds; give at least --seeds=2")
  if folder and folder.exists() and not folder.is_dir():
    raise UserError(f"--workdir={folder} is a file; give a folder for the report")
  is_known = experiment.is_single_fit or values.single_fit
  if metric and experiment.training and is_known and not conditions.validation:
    training = measured.measured(experiment.training(config, seed), config, conditions.metrics)
    known = ["train/loss", "train/accuracy", *metrics_of(training, config)]
    if metric not in known:
      raise UserError(f"--metric: {unknown_name(metric, known, 'metric')}")
  configs, numbers = (config, replace(config, change)), range(seed, seed + seeds)
  folders: tuple[list[Path], list[Path]] = ([], [])
  compared: list[dict[str, Any]] = []
  for number in numbers:
    for own, settings in zip(folders, configs, strict=True):
      identity = runner.identify(entry, settings, number, **which)
      at = runner.default_folder(identity)
      is_old = run_results.is_finished(at) and runner.is_stale(at, entry)
      made = runner.run(entry, settings, seed=number, options=options, fresh=is_old, **which)
      own.append(made)
      compared += [identity.config] if number == seed else []
      metric, _ = study_report.measured(at, metric, fit)
  assert metric
  rows = [[study_report.measured(each, metric, fit)[1] for each in own] for own in folders]
  lasts = [[study_report.last_value(each, metric) for each in own] for own in rows]
  before = flatten(config)
  found = study_report.Study(
    entry.name,
    command,
    {name: (before.get(name), value) for name, value in change.items()},
    list(numbers),
    folders,
    metric,
    np.array(lasts),
    rows,
  )
  name = f"study-{digest(compared, seed, metric, fit)}"
  page = study_report.write_study(folder or Path("runs") / entry.name / name, found)
  print(f"\n{study_report.text_table(found)}\n\n{study_report.finding(found)}\nreport:  {page}")
  return page
