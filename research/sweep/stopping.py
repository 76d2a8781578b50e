"""Early stopping: pure rules on the scores of trials after each interval.

A rule says of a trial that has just reported whether it goes on, pauses or stops, and, where there
is room, which paused trial goes on. Larger scores are better; a diverged trial scores -inf.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

ETA = 3  # a third of the trials goes on from one rung to the next
GRACE = 0.1  # share of a trial during which the median rule stops nothing
RUNGS = 2  # of ASHA and halving: a trial is first judged after a ninth of its length
FEWEST = 5  # trials that the median rule compares with
STOPPERS = ("none", "asha", "halving", "hyperband", "median", "pbt")


class Progress(NamedTuple):
  """A trial as a rule sees it.

  Attributes:
    number: of the trial.
    scores: after each interval so far.
    status: "running", "paused", "stopped", "diverged" or "finished".
  """

  number: int
  scores: Sequence[float]
  status: str

  def at(self, rung: int) -> float:
    """The score at a rung that it has reached; -inf where it diverged before."""
    return self.scores[rung - 1] if len(self.scores) >= rung else -math.inf

  def has_reached(self, rung: int) -> bool:
    """Whether its score at the rung is known; a diverged trial's is."""
    return len(self.scores) >= rung or self.status == "diverged"


class Stopper(NamedTuple):
  """A rule.

  Attributes:
    verdict: (all trials, read once, the trial that has just reported) -> "go", "pause" or "stop".
    promoted: all trials -> the number of the paused trial to go on with, or None.
    rungs_of: the number of a trial -> the intervals after which it may pause, rising.
  """

  verdict: Callable[[Iterable[Progress], Progress], str]
  promoted: Callable[[Iterable[Progress]], int | None]
  rungs_of: Callable[[int], Sequence[int]] = lambda number: ()


def make(name: str, intervals: int, trials: int) -> Stopper:
  """The rule called `name`, one of STOPPERS, for trials of so many intervals."""
  if name == "asha":
    return asha(rungs(intervals, most=RUNGS))
  if name == "halving":
    return in_brackets([(range(trials), rungs(intervals, most=RUNGS))])
  if name == "hyperband":
    return in_brackets(hyperband_brackets(intervals, trials))
  if name == "median":
    return Stopper(lambda all_trials, trial: median_rule(intervals, all_trials, trial), _nobody)
  return Stopper(lambda all_trials, trial: "go", _nobody)


def _nobody(trials: Iterable[Progress]) -> None:
  return None


def rungs(intervals: int, *, most: int) -> list[int]:
  """Intervals at which trials are compared: the last one over ETA, over ETA^2, ..., rising."""
  found: list[int] = []
  while (rung := math.ceil(intervals / ETA ** (len(found) + 1))) < intervals and len(found) < most:
    if found and rung == found[-1]:
      break
    found.append(rung)
  return found[::-1]


def best(trials: Sequence[Progress], rung: int, count: int) -> list[Progress]:
  """The `count` best at a rung; of equal ones the earlier."""
  return sorted(trials, key=lambda trial: (-trial.at(rung), trial.number))[:count]


def asha(rungs: Sequence[int]) -> Stopper:
  """Asynchronous successive halving (Li et al. 2020, algorithm 2).

  A trial goes on from a rung as soon as it is among the best 1/ETA of those that reached it so far.
  """

  def leading(trials: Iterable[Progress], rung: int) -> list[Progress]:
    there = [trial for trial in trials if trial.has_reached(rung)]
    return [trial for trial in best(there, rung, len(there) // ETA) if trial.status != "diverged"]

  def verdict(trials: Iterable[Progress], trial: Progress) -> str:
    rung = len(trial.scores)
    is_ahead = rung not in rungs or trial.number in [each.number for each in leading(trials, rung)]
    return "go" if is_ahead else "pause"

  def promoted(trials: Iterable[Progress]) -> int | None:
    everyone = list(trials)
    for rung in reversed(rungs):
      for trial in leading(everyone, rung):
        if trial.status == "paused" and len(trial.scores) == rung:
          return trial.number
    return None

  return Stopper(verdict, promoted, lambda number: rungs)


def in_brackets(brackets: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Stopper:
  """Successive halving (Jamieson and Talwalkar 2016) within each bracket.

  A rung waits for all trials of its bracket that come so far; then the best 1/ETA go on.

  Args:
    brackets: the numbers of its trials, and its rungs.
  """
  rungs_of = {number: rungs for numbers, rungs in brackets for number in numbers}

  def verdict(trials: Iterable[Progress], trial: Progress) -> str:
    return "pause" if len(trial.scores) in rungs_of[trial.number] else "go"

  def promoted(trials: Iterable[Progress]) -> int | None:
    by_number = {trial.number: trial for trial in trials}
    for numbers, rungs in brackets:
      entered = [by_number[number] for number in numbers if number in by_number]
      for place, rung in enumerate(rungs):
        expected = max(1, len(numbers) // ETA**place)
        there = [trial for trial in entered if trial.has_reached(rung)]
        if len(there) < expected:
          break
        for trial in best(there, rung, max(1, expected // ETA)):
          if trial.status == "paused" and len(trial.scores) == rung:
            return trial.number
    return None

  return Stopper(verdict, promoted, rungs_of.__getitem__)


def hyperband_brackets(intervals: int, trials: int) -> list[tuple[list[int], list[int]]]:
  """Hyperband (Li et al. 2018, algorithm 1): from many short trials to a few that run to the end.

  The brackets follow one another, most aggressive first, over again until all trials are dealt out.
  """
  all_rungs = rungs(intervals, most=99)
  brackets: list[tuple[list[int], list[int]]] = []
  dealt = 0
  while dealt < trials:
    for skipped in range(len(all_rungs) + 1):
      own = all_rungs[skipped:]
      size = math.ceil((len(all_rungs) + 1) / (len(own) + 1) * ETA ** len(own))
      numbers = list(range(dealt, min(dealt + size, trials)))
      if numbers:
        brackets.append((numbers, own))
      dealt += len(numbers)
  return brackets


def median_rule(intervals: int, trials: Iterable[Progress], trial: Progress) -> str:
  """Stops a trial whose best score is below the median of the others' average scores so far.

  Golovin et al. 2017 (Google Vizier), section 3.2.1.
  """
  reached = len(trial.scores)
  others = [
    statistics.fmean(each.scores[:reached])
    for each in trials
    if each.number != trial.number and len(each.scores) >= reached and each.status != "diverged"
  ]
  if reached <= GRACE * intervals or len(others) < FEWEST:
    return "go"
  return "stop" if max(trial.scores) < statistics.median(others) else "go"
