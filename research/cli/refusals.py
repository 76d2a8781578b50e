"""Refusals of flags that have no meaning together, or for an experiment."""

from typing import TYPE_CHECKING

from absl import flags

from research.cli.grammar import HOW, SEARCH
from research.errors import UserError

if TYPE_CHECKING:  # it imports JAX, which a listing does without
  from research.lab.experiment import Experiment


def refuse_contradictions(values: flags.FlagValues) -> None:
  """Some flags have no meaning beside others.

  Raises:
    UserError: naming the two.
  """
  for flag, others in (
    (
      "verify",
      (
        "workdir",
        "fork",
        "init_from",
        "evaluate",
        "gradcheck",
        "validation",
        "metrics",
        "patience",
      ),
    ),
    ("single_fit", ("verify", "gradcheck", "sweep")),
    (
      "gradcheck",
      ("workdir", "fork", "init_from", "evaluate", "fresh", "validation", "metrics", "patience"),
    ),
    ("evaluate", ("fresh", "fork")),
    ("sweep", ("verify", "gradcheck", "fork", "init_from", "patience", "keep_every")),
    ("fork", ("init_from",)),
    (
      "on",
      (
        "verify",
        "gradcheck",
        "evaluate",
        "sweep",
        "fork",
        "init_from",
        "fresh",
        "workdir",
        "validation",
        "metrics",
        "patience",
        "single_fit",
      ),
    ),
    ("change", ("verify", "gradcheck", "evaluate", "sweep", "fork", "init_from", "fresh")),
  ):
    for other in others:
      if flag in values and values[flag].value and values[other].value:
        raise UserError(f"--{other} has no meaning beside --{flag}; leave one of them out")
  of_sweeps = [name for name in SEARCH if name not in ("sweep", "lanes")]
  for name in of_sweeps:
    takes_seeds = name == "seeds" and (values.verify or "change" in values)  # of a study
    if values[name].present and values.sweep is None and not takes_seeds:
      raise UserError(
        f"--{name} is of a sweep; add --sweep='FIELD=log(1e-4,1e-1)', or leave it out"
        + ("; --verify and study take it too" if name == "seeds" else "")
      )
  if values.at_step and not (values.fork or values.init_from or values.evaluate):
    raise UserError("--at_step is of --fork, --init_from or evaluate; add one, or leave it out")
  for asked in ("evaluate", "gradcheck"):
    for name in HOW:
      if values[asked].value and values[name].present:
        raise UserError(f"--{name} has no meaning beside --{asked}; leave it out")
  for name, engines in (("workers", ("ray", "slurm")), ("slurm", ("slurm",))):
    if values[name].present and values.engine not in engines:
      raise UserError(f"--{name} needs --engine={' or '.join(engines)}; add it, or leave it out")


def refuse_idle(values: flags.FlagValues, experiment: "Experiment") -> None:
  """Refuses flags that this experiment would ignore: a single fit has no trials to share out.

  And a comparison or search has no one fit that could end early.

  Raises:
    UserError: naming the flag.
  """
  for name in ("lanes", "engine"):
    if values[name].present and values.sweep is None and name not in experiment.takes:
      raise UserError(
        f"--{name} is of trials that train side by side, and {values.experiment} has none; add "
        "--sweep='FIELD=log(1e-4,1e-1)', or leave it out"
      )
  if values.patience and not (experiment.is_single_fit or values.single_fit):
    raise UserError(
      f"--patience is of a single fit, and {values.experiment} has several"
      + ("; add --single_fit, or leave it out" if experiment.training else "; leave it out")
    )
