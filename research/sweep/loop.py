"""The loop of a sweep: fill the slots, train one interval, judge the trials, record all of it."""

import math
import time
from typing import Any

from research.errors import InterruptedRun
from research.store.interruption import Interruption
from research.store.progress import Line, clock
from research.sweep import plan as planning
from research.sweep.plan import Plan
from research.sweep.study import Event, Study, Trial, fold, settled
from research.sweep.workers import Workers

COLUMNS = 80  # of a terminal; a longer live line would leave its first half behind


class Sweep:
  """A sweep under way: its plan, its study, its trials, and the workers that train them."""

  def __init__(self, plan: Plan, study: Study, workers: Workers):
    """Starts nothing."""
    self.plan, self._study, self._workers = plan, study, workers
    self.trials: dict[int, Trial] = {}

  def is_complete(self) -> bool:
    """Tells whether nothing is left to do."""
    return not self._running() and not planning.next_events(self.plan, self.trials)

  def resume(self) -> None:
    """Takes up the study where the workers can go on from it; a complete one at its end."""
    fold(self.trials, self._study.events())
    if self.is_complete():
      return
    self._study.undo(self._workers.restart_from(settled(self._study.events())))
    self.trials = fold({}, self._study.events())
    self._workers.restore(self._config_of)

  def fill(self) -> None:
    """Gives free slots to trials that go on or start."""
    repeats, slots = self.plan.space.repeats, self.plan.settings.slots
    events: list[Event] = []
    newcomers: dict[int, Any] = {}
    while (self._running() + 1) * repeats <= slots:
      found = planning.next_events(self.plan, self.trials)
      if not found:
        break
      fold(self.trials, found)
      events += found
      number, config = found[-1].trial, self._config_of(found[-1].trial)
      if found[-1].kind == "resumed":
        self._workers.resume(number, config, len(self.trials[number].reports))
      else:
        newcomers[number] = config
    if newcomers:
      self._workers.enter(newcomers)
    if events:
      self._study.record(events)

  def advance(self) -> None:
    """Trains one interval and records what follows from it, in one transaction."""
    reports = self._workers.advance()
    reported = sorted(reports)
    events = [Event("reported", number, reports[number]) for number in reported]
    fold(self.trials, events)
    verdicts = planning.verdicts(self.plan, self.trials, reported)
    fold(self.trials, verdicts)
    self._study.record(events + verdicts)
    copies = {
      event.trial: (event.data["source"], self._config_of(event.trial))
      for event in verdicts
      if event.kind == "copied"
    }
    if copies:
      self._workers.copy(copies)
    for event in verdicts:
      if event.kind == "paused":
        self._workers.pause(event.trial)
      elif event.kind != "copied":
        self._workers.dismiss(event.trial)

  def save(self) -> None:
    """Has the workers keep their states."""
    self._workers.save(self._study.count)

  def _running(self) -> int:
    return sum(trial.status == "running" for trial in self.trials.values())

  def _config_of(self, number: int) -> Any:
    return self.plan.space.at(self.trials[number].values)


def run_sweep(
  sweep: Sweep, *, name: str, save_seconds: float, interruption: Interruption
) -> dict[int, Trial]:
  """Runs a sweep until every trial has ended; returns all trials.

  Raises:
    InterruptedRun: after a signal, once everything is saved.
  """
  sweep.resume()
  plan, line, began = sweep.plan, Line(), time.monotonic()
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
        sweep.save()
      saved_at = time.monotonic()
    if stop:  # leaving the lab waits until it is written
      raise InterruptedRun(
        stop, f"interrupted and saved; give the same command to resume the sweep {name!r}"
      )
  line.finish()
  return sweep.trials


def _done(plan: Plan, trials: dict[int, Trial]) -> float:
  """Estimates the share of the sweep that is done; a trial that has ended counts whole."""
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
