"""Refusals of flags that have no meaning together, or for an experiment."""

import inspect
import sys
from typing import Any

from absl import flags

from research.cli.grammar import HOW, SEARCH
from research.errors import UserError


def refuse_contradictions(values: flags.FlagValues) -> None:
  """Some flags have no meaning beside others.

  Raises:
    UserError: naming the two.
  """
  for flag, others in (
    ("verify", ("workdir", "fork", "init_from", "evaluate", "gradcheck", "validation")),
    ("gradcheck", ("workdir", "fork", "init_from", "evaluate", "fresh", "validation")),
    ("evaluate", ("fresh", "fork")),
    ("sweep", ("verify", "gradcheck", "fork", "init_from")),
    ("fork", ("init_from",)),
  ):
    for other in others:
      if values[flag].value and values[other].value:
        raise UserError(f"--{other} has no meaning beside --{flag}; leave one of them out")
  of_sweeps = [name for name in SEARCH if name not in ("sweep", "lanes")]
  for name in of_sweeps:
    if values[name].present and values.sweep is None and not (name == "seeds" and values.verify):
      raise UserError(
        f"--{name} is of a sweep; add --sweep='FIELD=log(1e-4,1e-1)', or leave it out"
        + ("; --verify takes it too" if name == "seeds" else "")
      )
  for asked in ("evaluate", "gradcheck"):
    for name in HOW:
      if values[asked].value and values[name].present:
        raise UserError(f"--{name} has no meaning beside --{asked}; leave it out")
  for name, engines in (("workers", ("ray", "slurm")), ("slurm", ("slurm",))):
    if values[name].present and values.engine not in engines:
      raise UserError(f"--{name} needs --engine={' or '.join(engines)}; add it, or leave it out")


def refuse_idle(values: flags.FlagValues, experiment: Any) -> None:
  """Refuses flags that this experiment would ignore: a single fit has no trials to share out.

  Raises:
    UserError: naming the flag.
  """
  source = (
    "" if experiment.is_single_fit else inspect.getsource(sys.modules[experiment.run.__module__])
  )
  for name, calls in (("lanes", ".compare( .sweep("), ("engine", ".sweep(")):
    is_used = values.sweep is not None or any(call in source for call in calls.split())
    if values[name].present and not is_used:
      raise UserError(
        f"--{name} is of trials that train side by side, and {values.experiment} has none; add "
        "--sweep='FIELD=log(1e-4,1e-1)', or leave it out"
      )
