"""A sweep in words: who won, how sure that is, which range to search next, and the commands."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from research.analysis.paired import paired_difference
from research.config import show
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.report import Table
from research.reporting.commands import run_command
from research.reporting.runs_table import shown, unit_of_difference
from research.sweep import refine
from research.sweep.plan import Swept
from research.sweep.space import Range
from research.sweep.study import Trial


def notes(swept: Swept, alone: float) -> list[str]:
  """Notes for the reader about the winner; `alone` is its score when it is trained again alone."""
  best = swept.ranked()[0]
  objective = swept.plan.settings.objective
  settings = ", ".join(f"{name} = {value_text(value)}" for name, value in best.values.items())
  means = (
    f", the mean over {swept.plan.space.repeats} seeds" if swept.plan.space.repeats > 1 else ""
  )
  found = [
    f"Trial {best.number} of {len(swept.trials)} won: {settings}; {objective} "
    f"{shown(objective, swept.score(best))}{means}. "
    f"Trained again alone: {shown(objective, alone)}.",
    certainty(swept),
  ]
  if edges := at_edges(swept):
    places = "; ".join(f"{name} near the {end} end of {each}" for name, end, each in edges)
    found.append(
      f"Warning: the best trial lies at the edge of what was searched ({places}); better values "
      "may lie beyond. The next sweep goes there, as far as the setting allows."
    )
  return found


def certainty(swept: Swept) -> str:
  """Says how certain it is that the winner is the best, from the seeds of each trial."""
  best, *others = [
    trial
    for trial in swept.ranked()
    if not math.isnan(swept.score(trial)) and len(trial.reports) == len(swept.ranked()[0].reports)
  ]
  repeats = swept.plan.space.repeats
  if not others:
    return "No other trial was trained for as long, so there is no ranking to judge."
  if repeats < 2:
    gap = abs(swept.score(best) - swept.score(others[0]))
    objective = swept.plan.settings.objective
    return (
      f"The runner-up is {_gap(objective, gap)} behind. Each trial was trained with one seed, so "
      f"nothing says how much of that is chance; add seeds(3) to the sweep to see."
    )
  close = sum(not _is_worse(swept, best, other) for other in others)
  if not close:
    return (
      f"Over {repeats} paired seeds, the 95 % interval of the difference to the winner excludes "
      f"zero for each of the {len(others)} other trials that were trained for as long (not "
      "corrected for their number)."
    )
  return (
    f"Over {repeats} paired seeds, {close} of the {len(others)} other trials that were trained for "
    "as long cannot be told from the winner: the 95 % interval of their difference holds zero."
  )


def _is_worse(swept: Swept, best: Trial, other: Trial) -> bool:
  objective = swept.plan.settings.objective
  pair = [np.array(trial.reports[-1][objective], float) for trial in (other, best)]
  found = paired_difference(*pair)
  is_apart = found.is_sure or (not found.half and found.mean != 0)
  return is_apart and found.mean * swept.plan.settings.sign > 0


def _gap(metric: str, gap: float) -> str:
  scale, unit = unit_of_difference(metric)
  return f"{scale * gap:.2f}{unit}" if unit else f"{gap:.3g}"


def at_edges(swept: Swept) -> list[tuple[str, str, Range]]:
  """The ranges at whose end the best trial lies: name, "lower" or "upper", and the range."""
  best, found = swept.ranked()[0], []
  for name, each in swept.plan.space.distributions.items():
    if isinstance(each, Range):
      place = each.unit(best.values[name])
      if place < refine.EDGE or place > 1 - refine.EDGE:
        found.append((name, "lower" if place < refine.EDGE else "upper", each))
  return found


def trials_table(swept: Swept) -> Table:
  """All trials, the best first."""
  names, objective = list(swept.plan.space.distributions), swept.plan.settings.objective
  rows = [
    [
      str(rank),
      str(trial.number),
      "-" if math.isnan(swept.score(trial)) else shown(objective, swept.score(trial)),
      trial.status,
      str(len(trial.reports)),
      *(value_text(trial.values[name]) for name in names),
    ]
    for rank, trial in enumerate(swept.ranked(), 1)
  ]
  return Table("Trials", ("rank", "trial", objective, "status", "intervals", *names), rows)


def value_text(value: Any) -> str:
  """A swept value for readers: numbers with four digits."""
  return f"{value:.4g}" if isinstance(value, float) else show(value)


def winner_command(experiment: Experiment, winner: Any, lab: Lab) -> str:
  """The command that trains the winner alone."""
  alone = not experiment.is_single_fit
  return run_command(experiment, winner, lab.seed, lab.conditions, single_fit=alone)


def next_command(
  experiment: Experiment, config: Any, lab: Lab, search: Mapping[str, Any], swept: Swept
) -> str:
  """The command of a sweep around the best trials, and beyond the edge if the best lies there."""
  ranked = [trial.values for trial in swept.ranked() if trial.status != "diverged"]
  space, _ = refine.refined(swept.plan.space, ranked)
  further = {"sweep": space, "trials": search["trials"]}
  for name, default in (("sampler", "random"), ("stopper", "none"), ("objective", None)):
    further |= {name: search[name]} if search[name] != default else {}
  further |= {"direction": search["direction"]} if search.get("direction") else {}
  return run_command(experiment, config, lab.seed, lab.conditions, search=further)
