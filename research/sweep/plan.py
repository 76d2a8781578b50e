"""Decisions of a sweep: pure functions of its settings and of what has happened so far."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.config import fields
from research.errors import UserError, unknown_name
from research.sweep import pbt, refine, stopping
from research.sweep.search import Finished, grid_size, start_up, suggest
from research.sweep.space import Choice, Space
from research.sweep.study import SLOTS, Event, Trial, fold, read

STORED = {"slots": SLOTS}  # settings whose name in a study's file is another one
MOST = 100_000  # trials times seeds: every decision looks at all of them


class Settings(NamedTuple):
  """Settings of a search.

  Attributes:
    trials: the total number, also over runs that resume the sweep.
    objective: the metric by which trials are ranked, such as "validation/accuracy".
    sampler: one of `research.sweep.names.SAMPLERS`.
    stopper: one of `research.sweep.names.STOPPERS`.
    rounds: of coarse-to-fine refinement; each has its share of the trials.
    slots: lanes that train at the same time; 0 for as many as suit the device.
    larger_is_better: whether a larger value of the objective is a better one.
  """

  trials: int
  objective: str
  sampler: str = "random"
  stopper: str = "none"
  rounds: int = 1
  slots: int = 0
  larger_is_better: bool = True

  @property
  def sign(self) -> int:
    """The factor that makes larger values of the objective better: 1 or -1."""
    return 1 if self.larger_is_better else -1


class Plan(NamedTuple):
  """A sweep as a value: the space, the settings, and what they make definite.

  Attributes:
    space: what it ranges over.
    settings: how it is searched.
    seed: of the search.
    intervals: evaluations of a trial that runs to its end.
  """

  space: Space
  settings: Settings
  seed: int
  intervals: int

  @property
  def stopper(self) -> stopping.Stopper:
    """The rule of early stopping."""
    return stopping.make(self.settings.stopper, self.intervals, self.settings.trials)


class Swept(NamedTuple):
  """A finished sweep.

  Attributes:
    plan: what was searched, and how.
    trials: by number.
  """

  plan: Plan
  trials: Mapping[int, Trial]

  def ranked(self) -> list[Trial]:
    """Sorts the trials, the best first."""
    return ranked(self.plan, self.trials)

  def score(self, trial: Trial) -> float:
    """Returns the objective's last value; NaN for a trial that diverged."""
    values = trial.curve(self.plan.settings.objective)
    return values[-1] if values and trial.status != "diverged" else math.nan

  def config(self, trial: Trial) -> Any:
    """Returns the trial's settings; where they changed on the way, the last ones."""
    return self.plan.space.at(trial.values)

  def schedule(self, trial: Trial) -> list[tuple[int, Any]]:
    """Lists the settings that trained the trial's state, and the intervals done when each began."""
    return [(interval, self.plan.space.at(values)) for interval, values in trial.schedule]


def make(space: Space, settings: Settings, seed: int, intervals: int) -> Plan:
  """Checks settings, makes their counts definite, and returns the plan.

  Raises:
    UserError: for what cannot be searched so.
  """
  trials, slots = settings.trials, settings.slots
  if trials * space.repeats > MOST:
    raise UserError(
      f"--trials={trials} of {space.repeats} seeds each is more than the {MOST:,} trainings that a "
      "sweep holds; give fewer"
    )
  trials = min(trials, grid_size(space, trials) if settings.sampler == "grid" else space.distinct())
  if settings.stopper == "pbt":
    if trials < 2:
      raise UserError("--stopper=pbt lets members copy each other; give at least --trials=2")
    fixed = [
      name
      for name, each in space.distributions.items()
      if isinstance(each, Choice) or not _is_traced(space, name)
    ]
    if fixed:
      raise UserError(
        f"--stopper=pbt changes values while a trial runs, which {fixed[0]} does not allow; sweep "
        "ranges of traced fields, or choose another stopper"
      )
    slots = trials * space.repeats  # members are compared with each other, so all run at once
  if settings.rounds > trials:
    raise UserError(f"--rounds={settings.rounds} is more than there are trials ({trials})")
  if settings.rounds > 1 and settings.sampler == "grid":
    raise UserError("--sampler=grid has one round; choose another sampler, or leave --rounds out")
  slots = max(space.repeats, min(slots, trials * space.repeats))
  return Plan(space, settings._replace(trials=trials, slots=slots), seed, intervals)


def stored(plan: Plan) -> dict[str, Any]:
  """Returns the settings that identify the plan's study, under the names that its file has."""
  settings = plan.settings._asdict()
  renamed = {STORED.get(name, name): value for name, value in settings.items()}
  return renamed | {"space": str(plan.space), "seed": plan.seed}


def settings_of(stored: Mapping[str, Any]) -> Settings:
  """Returns the settings that a study's file holds, as `stored` wrote them."""
  names = {name: STORED.get(name, name) for name in Settings._fields}
  return Settings(**{name: stored[key] for name, key in names.items() if key in stored})


def may_grow(sampler: str, stopper: str, rounds: int) -> bool:
  """Tells whether a study can get more trials later and equal one that began with them.

  So it is where a trial depends neither on how many there are nor on the scores of others.
  """
  return sampler in ("random", "halton", "sobol") and stopper == "none" and rounds == 1


def notes(plan: Plan, asked: Settings) -> list[str]:
  """Lists notes for the user before the sweep begins."""
  settings, found = plan.settings, []
  at_once = settings.slots // plan.space.repeats
  if settings.trials < asked.trials:
    found.append(
      f"{plan.space} makes {settings.trials} different trials; --trials={asked.trials} has no more"
    )
  needed = start_up(settings.sampler, plan.space)
  scored = (settings.trials - 1) // at_once * at_once  # when the last one starts, at the least
  if needed and scored < needed and settings.stopper in ("none", "median"):
    found.append(
      f"--sampler={settings.sampler} fits its model once {needed} trials have a score, and only "
      f"{scored} have before the last of {settings.trials} starts ({at_once} at once): the model "
      "is never asked; raise --trials, or lower --lanes"
    )
  if settings.stopper == "median" and scored < stopping.FEWEST:
    found.append(
      f"--stopper=median compares with at least {stopping.FEWEST} finished trials, and of "
      f"{settings.trials} trials, {at_once} at once, it can stop none"
    )
  if settings.stopper == "pbt" and plan.intervals < 2:
    found.append("--stopper=pbt compares members between evaluations, and there is only one")
  return found


def winner(path: Path, space: Space) -> Any:
  """Returns the config of a study's best trial; None where it has no trial yet.

  Raises:
    UserError: where the study cannot be read.
  """
  settings, events = read(path)
  trials = fold({}, events)
  if not trials:
    return None
  # A rank needs the objective and its direction; a study does not hold the number of intervals.
  plan = Plan(space, settings_of(settings), settings["seed"], intervals=1)
  return space.at(ranked(plan, trials)[0].values)


def check_objective(objective: str, metrics: Sequence[str]) -> None:
  """Raises a UserError for an objective that no evaluation yields."""
  if objective not in metrics:
    raise UserError(f"--objective: {unknown_name(objective, metrics, 'metric')}")


def _is_traced(space: Space, name: str) -> bool:
  return next(field for field in fields(space.config) if field.name == name).rule.is_traced


def score(plan: Plan, trial: Trial) -> float:
  """Returns the objective's last value, signed so that larger is better; -inf after divergence."""
  scores = progress(plan, trial).scores
  return scores[-1] if scores and trial.status != "diverged" else -math.inf


def progress(plan: Plan, trial: Trial) -> stopping.Progress:
  """Returns the trial as early stopping sees it; an interval without a finite loss scores -inf."""
  curve = trial.curve(plan.settings.objective)
  scores = [
    -math.inf if None in report["train/loss"] or math.isnan(value) else plan.settings.sign * value
    for report, value in zip(trial.reports, curve, strict=True)
  ]
  return stopping.Progress(trial.number, scores, trial.status)


def ranked(plan: Plan, trials: Mapping[int, Trial]) -> list[Trial]:
  """Sorts trials, the best first; one trained for longer comes before all that trained for less.

  Of equal ones the earlier; those that diverged last.
  """
  is_lost = lambda trial: trial.status == "diverged"
  return sorted(
    trials.values(), key=lambda t: (is_lost(t), -len(t.reports), -score(plan, t), t.number)
  )


def next_events(plan: Plan, trials: Mapping[int, Trial]) -> list[Event]:
  """Decides what to do with a free slot: go on with a paused trial, start one, or nothing."""
  promoted = plan.stopper.promoted(progress(plan, trial) for trial in trials.values())
  if promoted is not None:
    return [Event("resumed", promoted)]
  number = len(trials)
  if number == plan.settings.trials:
    return _last_resort(plan, trials)
  share = math.ceil(plan.settings.trials / plan.settings.rounds)
  own_round = number // share
  before = [trial for trial in trials.values() if trial.round < own_round]
  if number % share == 0 and any(trial.status == "running" for trial in before):
    return []  # a round begins when the one before is over
  space, decisions = space_of_round(plan, trials, own_round)
  judged = {trial.number: found for trial in trials.values() if (found := _judged(plan, trial))}
  unknown = [trial.values for trial in trials.values() if trial.number not in judged]
  values = suggest(
    plan.settings.sampler,
    space,
    plan.seed,
    number,
    list(judged.values()),
    plan.settings.trials,
    unknown,
  )
  started = Event("started", number, {"values": values, "round": own_round})
  begins = own_round > 0 and number % share == 0
  return [Event("narrowed", number, decisions), started] if begins else [started]


def _judged(plan: Plan, trial: Trial) -> Finished | None:
  """Returns the score that a sampler is given: that of the last rung, as in BOHB.

  Falkner et al. 2018. Of a trial that runs, that is the last rung it passed; None before.
  """
  if trial.status == "diverged":
    return Finished(trial.number, trial.values, -math.inf)
  reached = len(trial.reports)
  if trial.status == "running":
    reached = max((r for r in plan.stopper.rungs_of(trial.number) if r <= reached), default=0)
  if not reached:
    return None
  score = progress(plan, trial).at(reached)
  return Finished(trial.number, trial.values, score, reached)


def _last_resort(plan: Plan, trials: Mapping[int, Trial]) -> list[Event]:
  """Resumes the best paused trial where no rule sends any on, so that one reaches its end.

  A third of fewer than three is none, and all that were sent on may have diverged.
  """
  statuses = {trial.status for trial in trials.values()}
  if "paused" not in statuses or statuses & {"running", "finished"}:
    return []
  best = next(trial for trial in ranked(plan, trials) if trial.status == "paused")
  return [Event("resumed", best.number)]


def space_of_round(
  plan: Plan, trials: Mapping[int, Trial], number: int
) -> tuple[Space, dict[str, str]]:
  """Recomputes the space of a round from the trials of the rounds before it."""
  space, decisions = plan.space, dict[str, str]()
  for before in range(number):
    done = {number: trial for number, trial in trials.items() if trial.round <= before}
    space, decisions = refine.refined(space, [trial.values for trial in ranked(plan, done)])
  return space, decisions


def verdicts(plan: Plan, trials: Mapping[int, Trial], reported: Sequence[int]) -> list[Event]:
  """Decides which of the trials that have just reported pause, stop, end or copy others."""
  events = []
  for number in reported:
    trial = trials[number]
    is_last = len(trial.reports) == plan.intervals
    is_lost = progress(plan, trial).scores[-1] == -math.inf
    if is_lost and (is_last or plan.settings.stopper != "pbt"):  # there, it will copy another
      trial.status = "diverged"  # first of all, so that the others compare with it as such
  for number in reported:
    trial = trials[number]
    seen = progress(plan, trial)
    is_last = len(trial.reports) == plan.intervals
    if trial.status == "diverged":
      events.append(Event("diverged", number))
      continue
    if is_last:
      events.append(Event("finished", number))
      continue
    verdict = plan.stopper.verdict((progress(plan, each) for each in trials.values()), seen)
    if verdict != "go":
      events.append(Event({"pause": "paused", "stop": "stopped"}[verdict], number))
  if plan.settings.stopper == "pbt":
    events += _generation(plan, trials, reported)
  return events


def next_decision(plan: Plan, number: int, done: int) -> int:
  """Returns the interval after which a trial is judged next; until then it can train elsewhere.

  The median rule may stop it at any time; then what it trained beyond is thrown away.
  """
  rungs = [rung for rung in plan.stopper.rungs_of(number) if rung > done]
  if plan.settings.stopper == "pbt":
    rungs = [n for n in range(done + 1, plan.intervals) if pbt.is_ready(n, plan.intervals)]
  if plan.settings.stopper == "median":
    rungs = [done + math.ceil(plan.intervals / 10)]
  return min([*rungs, plan.intervals])


def _generation(plan: Plan, trials: Mapping[int, Trial], reported: Sequence[int]) -> list[Event]:
  if not reported or not pbt.is_ready(len(trials[reported[0]].reports), plan.intervals):
    return []
  scores = {number: score(plan, trials[number]) for number in reported}
  values = [trials[number].values for number in range(len(trials))]
  interval = len(trials[reported[0]].reports)
  return [
    Event("copied", copy.to, {"source": copy.source, "values": copy.values})
    for copy in pbt.copies(plan.space, plan.seed, interval, scores, values)
  ]
