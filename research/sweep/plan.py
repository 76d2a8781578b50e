"""What a sweep does next: pure functions of its settings and of what has happened so far."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from research.config import fields
from research.errors import UserError, unknown_name
from research.sweep import breeding, narrowing, stopping
from research.sweep.search import Finished, grid_size, suggest
from research.sweep.space import Choice, Space
from research.sweep.study import Event, Trial


class Settings(NamedTuple):
  """How a space is searched.

  Attributes:
    trials: in all; a total, however often the sweep is resumed.
    objective: the metric by which trials are ranked, such as "validation/accuracy".
    sampler: one of `research.sweep.search.SAMPLERS`.
    stopper: one of `research.sweep.stopping.STOPPERS`.
    rounds: from coarse to fine; each has its share of the trials.
    seats: lanes that train at the same time; 0 for as many as suit the device.
    larger_is_better: whether a larger value of the objective is a better one.
  """

  trials: int
  objective: str
  sampler: str = "random"
  stopper: str = "none"
  rounds: int = 1
  seats: int = 0
  larger_is_better: bool = True

  @property
  def sign(self) -> int:
    """Times the objective, a number of which larger is better."""
    return 1 if self.larger_is_better else -1


class Plan(NamedTuple):
  """A sweep as a value.

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
    """The best trial first."""
    return ranked(self.plan, self.trials)

  def score(self, trial: Trial) -> float:
    """The objective's last value; not a number for a trial that diverged."""
    values = trial.curve(self.plan.settings.objective)
    return values[-1] if values and trial.status != "diverged" else math.nan

  def config(self, trial: Trial) -> Any:
    """The trial's settings."""
    return self.plan.space.at(trial.values)


def make(space: Space, settings: Settings, seed: int, intervals: int) -> Plan:
  """The plan, checked and with its counts made definite.

  Raises:
    UserError: for what cannot be searched so.
  """
  trials, seats = settings.trials, settings.seats
  if settings.sampler == "grid":
    trials = min(trials, grid_size(space, trials))
  if settings.stopper == "pbt":
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
    seats = trials * space.repeats  # members are compared with each other, so all run at once
  if settings.rounds > trials:
    raise UserError(f"--rounds={settings.rounds} is more than there are trials ({trials})")
  if settings.rounds > 1 and settings.sampler == "grid":
    raise UserError("--sampler=grid has one round; choose another sampler, or leave --rounds out")
  seats = max(space.repeats, min(seats, trials * space.repeats))
  return Plan(space, settings._replace(trials=trials, seats=seats), seed, intervals)


def check_objective(objective: str, metrics: Sequence[str]) -> None:
  """Raises a UserError for an objective that no evaluation yields."""
  if objective not in metrics:
    raise UserError(f"--objective: {unknown_name(objective, metrics, 'metric')}")


def _is_traced(space: Space, name: str) -> bool:
  return next(field for field in fields(space.config) if field.name == name).rule.is_traced


def score(plan: Plan, trial: Trial) -> float:
  """The last value of the objective, larger being better; -inf for a trial that diverged."""
  scores = progress(plan, trial).scores
  return scores[-1] if scores and trial.status != "diverged" else -math.inf


def progress(plan: Plan, trial: Trial) -> stopping.Progress:
  """The trial as the rules of early stopping see it."""
  curve = trial.curve(plan.settings.objective)
  scores = [plan.settings.sign * value if math.isfinite(value) else -math.inf for value in curve]
  return stopping.Progress(trial.number, scores, trial.status)


def ranked(plan: Plan, trials: Mapping[int, Trial]) -> list[Trial]:
  """The best first: those that ran to their end, then the others; of equal ones the earlier."""
  return sorted(trials.values(), key=lambda t: (t.status != "finished", -score(plan, t), t.number))


def next_events(plan: Plan, trials: Mapping[int, Trial]) -> list[Event]:
  """What to do with room for one more trial: go on with a paused one, start one, or nothing."""
  promoted = plan.stopper.promoted(progress(plan, trial) for trial in trials.values())
  if promoted is not None:
    return [Event("resumed", promoted)]
  number = len(trials)
  if number == plan.settings.trials:
    return []
  share = math.ceil(plan.settings.trials / plan.settings.rounds)
  own_round = number // share
  before = [trial for trial in trials.values() if trial.round < own_round]
  if number % share == 0 and any(trial.status == "running" for trial in before):
    return []  # a round begins when the one before is over
  space, decisions = space_of_round(plan, trials, own_round)
  finished = [
    Finished(trial.number, trial.values, score(plan, trial))
    for trial in trials.values()
    if trial.has_ended
  ]
  running = [trial.values for trial in trials.values() if not trial.has_ended]
  values = suggest(
    plan.settings.sampler, space, plan.seed, number, finished, plan.settings.trials, running
  )
  started = Event("started", number, {"values": values, "round": own_round})
  begins = own_round > 0 and number % share == 0
  return [Event("narrowed", number, decisions), started] if begins else [started]


def space_of_round(
  plan: Plan, trials: Mapping[int, Trial], number: int
) -> tuple[Space, dict[str, str]]:
  """The space of a round, found again from the trials of the rounds before it."""
  space, decisions = plan.space, dict[str, str]()
  for before in range(number):
    done = [(t.values, score(plan, t)) for t in trials.values() if t.round <= before]
    space, decisions = narrowing.narrowed(space, done)
  return space, decisions


def verdicts(plan: Plan, trials: Mapping[int, Trial], reported: Sequence[int]) -> list[Event]:
  """What becomes of the trials that have just reported, each with its interval's number."""
  events = []
  for number in reported:
    trial = trials[number]
    seen = progress(plan, trial)
    is_last = len(trial.reports) == plan.intervals
    is_lost = None in trial.reports[-1]["train/loss"] or seen.scores[-1] == -math.inf
    if is_lost and (is_last or plan.settings.stopper != "pbt"):  # there, it will copy another
      events.append(Event("diverged", number))
      trial.status = "diverged"  # so that those after it in this round compare with it as such
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
  """After how many intervals a trial's state is asked for next; until then it may train unseen.

  The median rule may stop it at any time; then what it trained beyond is thrown away.
  """
  rungs = [rung for rung in plan.stopper.rungs_of(number) if rung > done]
  if plan.settings.stopper == "pbt":
    rungs = [n for n in range(done + 1, plan.intervals) if breeding.is_ready(n, plan.intervals)]
  if plan.settings.stopper == "median":
    rungs = [done + math.ceil(plan.intervals / 10)]
  return min([*rungs, plan.intervals])


def _generation(plan: Plan, trials: Mapping[int, Trial], reported: Sequence[int]) -> list[Event]:
  if not reported or not breeding.is_ready(len(trials[reported[0]].reports), plan.intervals):
    return []
  scores = {number: score(plan, trials[number]) for number in reported}
  values = [trials[number].values for number in range(len(trials))]
  interval = len(trials[reported[0]].reports)
  return [
    Event("copied", copy.to, {"source": copy.source, "values": copy.values})
    for copy in breeding.copies(plan.space, plan.seed, interval, scores, values)
  ]
