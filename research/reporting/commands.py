"""Command lines that make a run again, from what it is."""

import shlex
from collections.abc import Mapping
from typing import Any

from research.config import show
from research.lab.experiment import Experiment
from research.lab.unread import changes
from research.training import Conditions


def run_command(
  experiment: Experiment,
  config: Any,
  seed: int,
  conditions: Conditions,
  *,
  single_fit: bool = False,
  search: Mapping[str, Any] | None = None,
) -> str:
  """The shortest command of the run with these settings: only what is no default is said.

  Args:
    experiment: named as its flag names it.
    config: its settings.
    seed: of the run.
    conditions: of its fits.
    single_fit: whether the experiment is only the fit that a sweep of it repeats.
    search: the flags of a sweep, where it is one.
  """
  words = [f"--experiment={experiment.flag}"] + ([f"--seed={seed}"] if seed else [])
  given = conditions._asdict() | {"metrics": ",".join(conditions.metrics)}
  words += [f"--{name}={value}" for name, value in given.items() if value not in (None, 0, "")]
  words += ["--single_fit"] if single_fit else []
  words += [f"--{each.name}={show(each.value)}" for each in changes(experiment.Config(), config)]
  words += [f"--{name}={value}" for name, value in (search or {}).items() if value is not None]
  return shlex.join(["python", "launch.py", *words])
