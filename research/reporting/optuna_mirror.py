"""A study copied into Optuna's own storage, for optuna-dashboard and Optuna's plots.

    pip install -e '.[sweep]' optuna-dashboard
    python -m research.reporting.optuna_mirror runs/digits_convnet/0123456789/study.sqlite
    optuna-dashboard sqlite:///runs/digits_convnet/0123456789/study.optuna.sqlite

The copy is made anew each time, also while the sweep runs; nothing is read back from it.
"""

import datetime
import math
import sys
from pathlib import Path
from typing import Any

from research.config import show
from research.errors import UserError
from research.lab.open_run import open_run
from research.sweep import space as spaces
from research.sweep.plan import Plan, settings_of
from research.sweep.search import package
from research.sweep.space import Choice, Distribution
from research.sweep.study import Trial, fold, read, read_times

STATES = {
  "finished": "COMPLETE",
  "stopped": "PRUNED",
  "paused": "PRUNED",
  "diverged": "FAIL",
  "running": "RUNNING",
}


def mirror(path: Path) -> Path:
  """Copies the study in a file; returns the copy's path.

  Raises:
    UserError: where there is no study, no run around it, or no Optuna.
  """
  optuna = package("optuna", "research.reporting.optuna_mirror")
  settings, events = read(path)
  space = spaces.parse(settings["space"], open_run(path.parent).config)
  plan = Plan(space, settings_of(settings), settings["seed"], intervals=0)
  trials = fold({}, events)
  copy = path.with_suffix(".optuna.sqlite")
  copy.unlink(missing_ok=True)
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  study = optuna.create_study(
    study_name=path.parent.name,
    storage=f"sqlite:///{copy}",
    direction="maximize" if plan.settings.larger_is_better else "minimize",
  )
  kinds = {
    name: _kind(optuna, each, [trial.values[name] for trial in trials.values()])
    for name, each in space.distributions.items()
  }
  times = read_times(path)
  study.add_trials(
    [_trial(optuna, plan, trial, kinds, times.get(trial.number)) for trial in trials.values()]
  )
  return copy


def _kind(optuna: Any, each: Distribution, tried: list[Any]) -> Any:
  """Optuna's distribution, wide enough for later rounds, which may leave the range."""
  if isinstance(each, Choice):
    return optuna.distributions.CategoricalDistribution([show(value) for value in each.values])
  low, high = min([each.low, *tried]), max([each.high, *tried])
  if each.whole:
    return optuna.distributions.IntDistribution(int(low), int(high), log=each.scale == "log")
  return optuna.distributions.FloatDistribution(low, high, log=each.scale == "log")


def _trial(
  optuna: Any,
  plan: Plan,
  trial: Trial,
  kinds: dict[str, Any],
  times: tuple[float, float] | None,
) -> Any:
  """Optuna's trial; one that was pruned has its last value, and each its own dates if known."""
  is_choice = lambda name: isinstance(plan.space.distributions[name], Choice)
  params = {n: show(v) if is_choice(n) else v for n, v in trial.values.items()}
  curve = trial.curve(plan.settings.objective)
  state = STATES[trial.status]
  last = next((value for value in reversed(curve) if math.isfinite(value)), None)
  found = optuna.trial.create_trial(
    state=optuna.trial.TrialState[state],
    params=params,
    distributions=kinds,
    value=last if state in ("COMPLETE", "PRUNED") else None,
    intermediate_values=dict(enumerate(curve, 1)),
    user_attrs={"trial": trial.number, "round": trial.round, "status": trial.status},
  )
  if times:
    began, ended = map(datetime.datetime.fromtimestamp, times)
    found.datetime_start = began
    found.datetime_complete = ended if found.state.is_finished() else None
  return found


if __name__ == "__main__":
  try:
    if len(sys.argv) != 2:
      raise UserError(
        "give the file of a study, such as runs/digits_convnet/0123456789/study.sqlite"
      )
    print(mirror(Path(sys.argv[1])))
  except UserError as error:
    sys.exit(f"research.reporting.optuna_mirror: {error}")
