"""The sweep on this machine: trials take seats in lanes, train an interval, and are judged."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax

from research.config import flatten, from_json
from research.errors import InterruptedRun
from research.store.checkpoint import Checkpoints, Snapshot, from_host, to_host
from research.store.interruption import Interruption
from research.store.progress import Line, clock
from research.sweep import plan as planning
from research.sweep.plan import Plan
from research.sweep.slots import Crew, Reports, Seat, by_trial
from research.sweep.study import Event, Study, Trial, fold, settled
from research.sweep.trainings import Trainings
from research.training import Options, on_device

Keys = Callable[[int], tuple[jax.Array, jax.Array]]  # of a repetition: to begin with, and to order

COLUMNS = 80  # of a terminal; a longer live line would leave its first half behind


class Sweep:
  """A plan on its way: its study, its trials, and the crews that train them."""

  def __init__(
    self,
    plan: Plan,
    study: Study,
    trainings: Trainings,
    keys: Keys,
    options: Options,
  ):
    """Nothing is compiled before a trial starts."""
    self._plan, self._study, self._trainings = plan, study, trainings
    self._keys, self._options = keys, options
    self.trials: dict[int, Trial] = {}
    self._crews: dict[Any, Crew] = {}
    self._kept: dict[str, Any] = {}  # states of paused trials, by "trial.repeat"

  def is_complete(self) -> bool:
    """Tells whether nothing is left to do."""
    running = any(trial.status == "running" for trial in self.trials.values())
    return not running and not planning.next_events(self._plan, self.trials)

  def resume(self, checkpoints: Checkpoints) -> None:
    """Goes back to the last checkpoint, or to where no state is needed; if complete, to its end."""
    fold(self.trials, self._study.events())
    if self.is_complete():
      return
    snapshot = checkpoints.latest()
    without_state = settled(self._study.events())
    is_behind = snapshot is None or snapshot.step <= without_state
    self._study.undo(without_state if snapshot is None or is_behind else snapshot.step)
    self.trials = fold({}, self._study.events())
    if snapshot and not is_behind:
      self._restore(snapshot)

  def fill(self) -> None:
    """Gives free seats to trials that go on or start."""
    events: list[Event] = []
    newcomers: list[Seat] = []
    while self._taken() + len(newcomers) + self._plan.space.repeats <= self._plan.settings.seats:
      found = planning.next_events(self._plan, self.trials)
      if not found:
        break
      fold(self.trials, found)
      events += found
      number = found[-1].trial
      for seat in self._seats(number):
        if found[-1].kind == "resumed":
          crew = self._crew_of(number, seat.repeat)
          crew.enter_again(seat, self._kept.pop(f"{number}.{seat.repeat}"))
        else:
          newcomers.append(seat)
    places = [self._crew_of(seat.trial, seat.repeat) for seat in newcomers]
    for crew in self._crews.values():
      own = [seat for seat, place in zip(newcomers, places, strict=True) if place is crew]
      if own:
        crew.enter([(seat, self._keys(seat.repeat)[0]) for seat in own])
    if events:
      self._study.record(events)

  def advance(self) -> None:
    """One interval of all that sit, and what follows from it, recorded together."""
    reports = self._reports()
    reported = sorted(reports)
    events = [Event("reported", number, reports[number]) for number in reported]
    fold(self.trials, events)
    verdicts = planning.verdicts(self._plan, self.trials, reported)
    fold(self.trials, verdicts)
    self._study.record(events + verdicts)
    copies = {
      event.trial: (event.data["source"], self._config_of(event.trial))
      for event in verdicts
      if event.kind == "copied"
    }
    if copies:
      for crew in self._crews.values():  # one, or one for each repetition
        crew.copy(copies)
    for event in verdicts:
      if event.kind == "paused":
        crews = self._crews_of(event.trial)
        states = [state for crew in crews for state in crew.leave(event.trial)]
        self._kept |= {f"{event.trial}.{repeat}": state for repeat, state in enumerate(states)}
      elif event.kind != "copied":
        for crew in self._crews_of(event.trial):
          crew.dismiss(event.trial)

  def _reports(self) -> dict[int, dict[str, list[float]]]:
    reports: Reports = {}
    for crew in self._crews.values():
      if any(crew.seats):
        reports |= crew.advance()
    return by_trial(reports)

  def save(self, checkpoints: Checkpoints) -> None:
    """Makes a checkpoint of all states."""
    checkpoints.save(self.snapshot())

  def snapshot(self) -> Snapshot:
    """All states, and the number of events that they belong to."""
    crews = list(self._crews.values())
    arrays = to_host({"crews": [crew.states for crew in crews], "kept": self._kept})
    about = {
      "crews": [
        {
          "config": flatten(crew.config),
          "repeat": crew.repeat,
          "seats": [seat and [seat.trial, seat.repeat, seat.step] for seat in crew.seats],
        }
        for crew in crews
      ],
      "kept": list(self._kept),
    }
    return Snapshot(self._study.count, arrays, about)

  def _restore(self, snapshot: Snapshot) -> None:
    for each in snapshot.about["crews"]:
      config = from_json(self._plan.space.config, each["config"])
      self._crew_for(config, each["repeat"])
    crews = list(self._crews.values())
    templates = [jax.eval_shape(lambda states: states, crew.states) for crew in crews]
    kept = {}
    for name in snapshot.about["kept"]:
      number, repeat = map(int, name.split("."))
      config = self._config_of(number)
      learner = self._trainings.of(config, repeat).learner
      kept[name] = jax.eval_shape(learner.init, on_device(config), self._keys(0)[0])
    restored = from_host(snapshot.arrays, {"crews": templates, "kept": kept})
    self._kept = restored["kept"]
    for crew, each, states in zip(crews, snapshot.about["crews"], restored["crews"], strict=True):
      crew.restore([seat and self._seat(*seat) for seat in each["seats"]], states)

  def _taken(self) -> int:
    return sum(seat is not None for crew in self._crews.values() for seat in crew.seats)

  def _config_of(self, number: int) -> Any:
    return self._plan.space.at(self.trials[number].values)

  def _crew_of(self, number: int, repeat: int) -> Crew:
    return self._crew_for(self._config_of(number), repeat)

  def _crews_of(self, number: int) -> list[Crew]:
    """One, or one for each repetition where these have data of their own."""
    crews = [self._crew_of(number, repeat) for repeat in range(self._plan.space.repeats)]
    return list(dict.fromkeys(crews))

  def _crew_for(self, config: Any, repeat: int) -> Crew:
    key = self._trainings.key(config, repeat)
    if key not in self._crews:
      repeats_elsewhere = self._plan.space.repeats if self._trainings.by_repeat else 1
      self._crews[key] = Crew(
        self._trainings.of(config, repeat),
        config,
        self._plan.settings.seats // repeats_elsewhere,
        self._options.lanes,
        self._keys(0)[0],
        repeat,
      )
    return self._crews[key]

  def _every(self, number: int) -> int:
    return self._trainings.of(self._config_of(number), 0).evaluate_every

  def _seats(self, number: int) -> list[Seat]:
    steps = len(self.trials[number].reports) * self._every(number)
    return [self._seat(number, repeat, steps) for repeat in range(self._plan.space.repeats)]

  def _seat(self, number: int, repeat: int, step: int) -> Seat:
    return Seat(number, repeat, self._config_of(number), self._keys(repeat)[1], step)


def run(
  sweep: Sweep,
  plan: Plan,
  *,
  name: str,
  checkpoints: Checkpoints,
  save_seconds: float,
  interruption: Interruption,
) -> dict[int, Trial]:
  """Goes on until every trial has its end; returns all trials.

  Raises:
    InterruptedRun: after a signal, once everything is saved.
  """
  sweep.resume(checkpoints)
  line, began = Line(), time.monotonic()
  saved_at, done_before = began, _done(plan, sweep.trials)
  while not sweep.is_complete():
    sweep.fill()
    sweep.advance()
    if line.is_due():
      summary = _summary(plan, sweep.trials, done_before, time.monotonic() - began)
      line.show(f"{name}: {summary}"[:COLUMNS])
    stop = interruption.signal_number
    if stop or time.monotonic() - saved_at >= save_seconds:
      with interruption.saving():
        sweep.save(checkpoints)
      saved_at = time.monotonic()
    if stop:  # leaving the lab waits until it is written
      raise InterruptedRun(
        stop, f"interrupted and saved; give the same command to resume the sweep {name!r}"
      )
  line.finish()
  return sweep.trials


def _done(plan: Plan, trials: dict[int, Trial]) -> float:
  """About which share of the sweep is done: a trial that has ended counts whole."""
  share = lambda trial: 1 if trial.has_ended else len(trial.reports) / plan.intervals
  return sum(map(share, trials.values())) / plan.settings.trials


def _summary(plan: Plan, trials: dict[int, Trial], done_before: float, seconds: float) -> str:
  """Describes the sweep's progress, and the best value that any trial has reported so far."""
  count = lambda status: sum(trial.status == status for trial in trials.values())
  parts = [f"{count('finished')}/{plan.settings.trials} done"]
  words = {"running": "on", "paused": "paused", "stopped": "stopped", "diverged": "lost"}
  parts += [f"{count(status)} {word}" for status, word in words.items() if count(status)]
  best = max(
    (value for trial in trials.values() for value in planning.progress(plan, trial).scores),
    default=-math.inf,
  )
  shown = f", best {plan.settings.sign * best:.4g}" if math.isfinite(best) else ""
  done = _done(plan, trials)
  left = seconds * (1 - done) / max(done - done_before, 1e-9)
  return f"{', '.join(parts)}{shown}, {clock(left)} left"
