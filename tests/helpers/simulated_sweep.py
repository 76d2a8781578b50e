"""A sweep without training: the plan decides, and reports are read off given learning curves."""

import math

from research.sweep import plan as planning
from research.sweep.plan import Settings
from research.sweep.space import Range, Space
from research.sweep.study import Event, fold
from tests.helpers.tiny_experiment import Config

OBJECTIVE = "test/accuracy"
SPACE = Space(Config(), {"learning_rate": Range("log", 1e-4, 1.0)})


def plan_of(trials, intervals, *, slots, space=SPACE, seed=0, **how):
  settings = Settings(trials, OBJECTIVE, slots=slots, **how)
  return planning.make(space, settings, seed, intervals)


def report(value):
  """Of an interval; where the value is not finite, so is the loss or the objective alone."""
  if math.isfinite(value):
    return {OBJECTIVE: [value], "train/loss": [0.5]}
  return {OBJECTIVE: [0.9 if value == math.inf else None], "train/loss": [None]}


def simulate(plan, curve):
  """All trials and events of a sweep; `curve(trial)` has a value for each interval."""
  trials, events = {}, []
  while True:
    while sum(trial.status == "running" for trial in trials.values()) < plan.settings.slots:
      found = planning.next_events(plan, trials)
      if not found:
        break
      fold(trials, found)
      events += found
    reported = [number for number, trial in trials.items() if trial.status == "running"]
    if not reported:
      return trials, events
    seen = [
      Event("reported", number, report(curve(trials[number])[len(trials[number].reports)]))
      for number in sorted(reported)
    ]
    fold(trials, seen)
    verdicts = planning.verdicts(plan, trials, sorted(reported))
    fold(trials, verdicts)
    events += seen + verdicts
