"""An experiment turned into a sweep: from the flags to the table, the files and the figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research.config import flatten, show
from research.errors import DivergedError, UserError
from research.figures import sweeps as figures
from research.figures.differences import half_interval
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.lab.validation import validated
from research.report import Picture, Report
from research.reporting import sweep_findings
from research.reporting.runs_table import shown
from research.reporting.text_table import text_lines
from research.sweep import plan as planning
from research.sweep import space as spaces
from research.sweep.plan import Settings, Swept
from research.sweep.slots import metrics_of
from research.sweep.space import Choice, Distribution, Space
from research.sweep.study import Trial
from research.training import Training, larger_is_better

SHOWN = 10  # trials in the table
FEWEST_FOR_IMPORTANCE = 12


def prepare(experiment: Experiment, config: Any, search: Mapping[str, Any], seed: int) -> Space:
  """The space of a search, checked without compiling or writing anything.

  Raises:
    UserError: for a bad space, or a search that makes no sense.
  """
  _training(experiment, 0.0)
  space = spaces.parse(search["sweep"], config)
  if search["seeds"]:
    space = space._replace(repeats=search["seeds"])
  planning.make(space, _settings(search, "objective", True), seed, intervals=1)
  return space


def _training(experiment: Experiment, validation: float) -> Callable[[Any, int], Training]:
  if experiment.training is None:
    raise UserError(
      f"{experiment.name} has no single fit, a `training`, that a sweep could repeat; --list shows "
      "others"
    )
  return validated(experiment.training, validation) if validation else experiment.training


def _settings(search: Mapping[str, Any], objective: str, larger_is_better: bool) -> Settings:
  lanes = search["lanes"]
  return Settings(
    search["trials"],
    objective,
    search["sampler"],
    search["stopper"],
    search["rounds"],
    int(lanes) if lanes.isdigit() else 0,
    larger_is_better=larger_is_better,
  )


def _objective(search: Mapping[str, Any], training: Training, metrics: Sequence[str]) -> str:
  """The metric that ranks trials: not one of a test set where there is a validation set.

  Raises:
    UserError: where there is none, or where it is of the test set.
  """
  objective = search["objective"] or training.best
  validated = [metric for metric in metrics if metric.startswith("validation/")]
  if objective is None:
    if validated:
      raise UserError(
        f"this experiment ranks no metric; give one, as in --objective={validated[0]}"
      )
    raise UserError(
      "this experiment ranks no metric, and has no validation set; hold one out, as in "
      "--validation=0.1, or give a metric, as in "
      f"--objective={next(iter(metrics), 'test/accuracy')}"
    )
  if objective.startswith("test/") and validated:
    raise UserError(
      f"--objective={objective} chooses by the test set; take one of {', '.join(validated)}"
    )
  allowed = [metric for metric in metrics if not (validated and metric.startswith("test/"))]
  planning.check_objective(objective, allowed)
  return objective


def conduct(
  experiment: Experiment,
  config: Any,
  lab: Lab,
  search: Mapping[str, Any],
  say: Callable[[str], None],
) -> Report:
  """Searches, and trains the winner alone; leaves tables beside the study.

  Raises:
    UserError: where there is no objective.
    DivergedError: where every trial diverged.
  """
  training = _training(experiment, lab.conditions.validation)
  space = prepare(experiment, config, search, lab.seed)
  first = lab.completed(training(config, lab.seed), config)
  objective = _objective(search, first, metrics_of(first, config))
  if given := search.get("direction"):
    is_larger_better = given == "max"
  else:
    is_larger_better = larger_is_better(first, objective)
  swept = lab.sweep("study", space, training, _settings(search, objective, is_larger_better))
  write_tables(lab.folder, swept)
  say("\n" + table(swept))
  best = swept.ranked()[0]
  if math.isnan(swept.score(best)):
    raise DivergedError(
      "every trial diverged; sweep a range of smaller step sizes, or run one alone to see why"
    )
  winner = swept.config(best)
  own = training(winner, lab.seed)
  schedule = [(n * own.evaluate_every, config) for n, config in swept.schedule(best)]
  if len(schedule) == 1:
    words = sweep_findings.winner_command(experiment, winner, lab)
    commands = [("Train the winner alone:", words)]
    say(f"\nthe winner alone, again:\n{words}\n")
  else:
    say(f"\nthe winner alone, again, by its schedule:\n{scheduled(space, schedule)}\n")
    commands = []
  fit = lab.fit("train", winner, own, schedule=schedule)
  say(
    f"alone, {objective} {fit.last(objective):.5g}; in the sweep {swept.score(best):.5g}"
    + (" over its seeds" if space.repeats > 1 else "")
  )
  further = sweep_findings.next_command(experiment, config, lab, search, swept)
  commands.append(("Search on around the best trials:", further))
  notes = sweep_findings.notes(swept, fit.last(objective))
  say("\n".join(["", *notes[1:], f"search on around the best:\n{further}", ""]))
  found = experiment.report(winner, fit).pictures if experiment.report else []
  tables = [sweep_findings.trials_table(swept)]
  return Report((), [*pictures(swept), *found], notes, tables, commands)


def scheduled(space: Space, schedule: Sequence[tuple[int, Any]]) -> str:
  """Lists the values of the swept fields that trained a population's member, step by step."""
  return "\n".join(
    f"from step {step}: "
    + " ".join(f"--{name}={show(flatten(config).get(name))}" for name in space.distributions)
    for step, config in schedule
  )


def table(swept: Swept) -> str:
  """The best trials, and how many came to which end."""
  ranked, names = swept.ranked(), list(swept.plan.space.distributions)
  objective = swept.plan.settings.objective
  rows = [["rank", "trial", objective, "status", "intervals", *names]]
  for rank, trial in enumerate(ranked[:SHOWN], 1):
    rows.append(
      [
        str(rank),
        str(trial.number),
        _interval(swept, trial),
        trial.status,
        str(len(trial.reports)),
        *(sweep_findings.value_text(trial.values[name]) for name in names),
      ]
    )
  counts = [f"{count} {status}" for status, count in _counts(ranked).items()]
  return "\n".join([*text_lines(rows), f"{len(ranked)} trials: {', '.join(counts)}"])


def _counts(trials: Sequence[Trial]) -> dict[str, int]:
  statuses = [trial.status for trial in trials]
  return {status: statuses.count(status) for status in dict.fromkeys(statuses)}


def _interval(swept: Swept, trial: Trial) -> str:
  """The score, with its 95 % confidence interval where the trial has several seeds."""
  text = f"{swept.score(trial):.4f}"
  if swept.plan.space.repeats < 2 or trial.status == "diverged":
    return text
  values = np.array(trial.reports[-1][swept.plan.settings.objective], float)
  return f"{text} ± {half_interval(values):.4f}"


def write_tables(folder: Path, swept: Swept) -> None:
  """results.parquet, a row for every trial and seed, and curves.parquet, one for every interval."""
  import pyarrow as pa
  from pyarrow import parquet

  results, curves = [], []
  for trial in swept.trials.values():
    values = {name: show(v) if isinstance(v, tuple) else v for name, v in trial.values.items()}
    for repeat in range(swept.plan.space.repeats):
      own = {"trial": trial.number, "repeat": repeat}
      metrics = [{name: each[repeat] for name, each in report.items()} for report in trial.reports]
      curves += [own | {"interval": n} | row for n, row in enumerate(metrics, 1)]
      about = {"status": trial.status, "round": trial.round, "intervals": len(trial.reports)}
      results.append(own | about | values | (metrics[-1] if metrics else {}))
  for name, rows in (("results", results), ("curves", curves)):
    path = folder / f"{name}.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def pictures(swept: Swept) -> list[Picture]:
  """Draws the figures of a sweep."""
  objective = swept.plan.settings.objective
  scored = [trial for trial in swept.ranked() if not math.isnan(swept.score(trial))]
  scores = [swept.score(trial) for trial in scored]
  axes = [_axis(name, each, scored) for name, each in swept.plan.space.distributions.items()]
  metric = objective.rpartition("/")[2]
  others = [
    name for name in scored[0].reports[0] if name.rpartition("/")[2] == metric and name != objective
  ]
  best = [
    figures.Curves(
      f"{rank}. trial {trial.number}: {shown(objective, swept.score(trial))}",
      {name: trial.curve(name) for name in [objective, *others]},
    )
    for rank, trial in enumerate(scored[:20], 1)
  ]
  made = [
    figures.best_curves(
      best,
      metric,
      title=f"The best {len(best)} of {len(swept.trials)} trials",
      caption=f"Learning curves of the best trials, ranked by {objective}, on one scale.",
      file="best_trials",
    ),
    figures.parameters_against_score(
      axes,
      scores,
      objective,
      title="Every parameter against the score",
      caption="A point is a trial, on the scale that the parameter was drawn from; the band "
      "spans the best of them.",
      file="parameters",
    ),
    figures.parallel_coordinates(
      axes,
      scores,
      objective,
      title="All trials",
      caption="A line is a trial; the darker, the better.",
      file="parallel",
    ),
    figures.budget_against_best(
      *_best_so_far(swept),
      objective,
      title="Budget against the best",
      caption="The best score so far as intervals of training were spent.",
      file="budget",
    ),
  ]
  if len(axes) > 1 and len(scored) >= FEWEST_FOR_IMPORTANCE:
    made.append(
      figures.importance(
        [axis.name for axis in axes],
        *_importance(np.array([axis.places for axis in axes]).T, np.array(scores)),
        title="Which parameters matter",
        caption="A random forest is fitted to the scores; a bar is what it loses when a "
        "parameter's values are shuffled among the trials.",
      )
    )
  return made


def _axis(name: str, distribution: Distribution, trials: Sequence[Trial]) -> figures.Axis:
  places = [distribution.unit(trial.values[name]) for trial in trials]
  if isinstance(distribution, Choice):
    labels = [(distribution.unit(value), show(value)) for value in distribution.values]
    return figures.Axis(name, "choice", places, labels)
  values = [distribution.value(place) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
  if distribution.scale == "log" and distribution.high >= 100 * distribution.low:
    low, high = (math.log10(bound) for bound in (distribution.low, distribution.high))
    values = [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
  ticks = [(distribution.unit(value), f"{value:.3g}") for value in values]
  return figures.Axis(name, distribution.scale, places, ticks)


def _best_so_far(swept: Swept) -> tuple[list[float], list[float]]:
  """Intervals spent, and the best score until then, trial after trial."""
  sign = swept.plan.settings.sign
  spent, best, total = list[float](), list[float](), 0
  for trial in swept.trials.values():
    total += len(trial.reports) * swept.plan.space.repeats
    score = sign * swept.score(trial)
    before = best[-1] * sign if best else -math.inf
    if not math.isnan(score) and (trial.status == "finished" or not best):
      spent.append(total)
      best.append(sign * max(before, score))
  return spent, best


def _importance(places: np.ndarray, scores: np.ndarray) -> tuple[list[float], list[float]]:
  from sklearn.ensemble import RandomForestRegressor
  from sklearn.inspection import permutation_importance

  forest = RandomForestRegressor(100, random_state=0).fit(places, scores)
  found = permutation_importance(forest, places, scores, n_repeats=10, random_state=0)
  return found.importances_mean.tolist(), found.importances_std.tolist()
