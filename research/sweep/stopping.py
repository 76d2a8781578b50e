"""Early stopping: pure rules on the scores of trials after each interval.

A rule decides whether a trial that has just reported goes on, pauses or stops, and which paused
trial takes a free slot. Larger scores are better; a diverged trial scores -inf.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

ETA = 3  # a third of the trials goes on from one rung to the next
GRACE = 0.1  # share of a trial during which the median rule stops nothing
RUNGS = 2  # of ASHA and halving: a trial is first judged after a ninth of its length
FEWEST = 5  # finished trials that the median rule compares with


class Progress(NamedTuple):
  """The scores of a trial so far, and its status.

  Attributes:
    number: of the trial.
    scores: after each interval so far.
    status: "running", "paused", "stopped", "diverged" or "finished".
  """

  number: int
  scores: Sequence[float]
  status: str

  def at(self, rung: int) -> float:
    """Returns the score at a rung that it has reached; -inf where it diverged before."""
    return self.scores[rung - 1] if len(self.scores) >= rung else -math.inf

  def has_reached(self, rung: int, before: int = 0) -> bool:
    """Tells whether its score at the rung is known; also where it diverged on the way there.

    Args:
      rung: intervals.
      before: intervals of the rung before; a trial that diverged up to there was never sent on.
    """
    return len(self.scores) >= rung or (self.status == "diverged" and len(self.scores) > before)


class Stopper(NamedTuple):
  """A rule of early stopping.

  Attributes:
    verdict: (all trials, read once, the trial that has just reported) -> "go", "pause" or "stop".
    promoted: all trials -> the number of the paused trial to go on with, or None.
    rungs_of: the number of a trial -> the intervals after which it may pause, rising.
  """

  verdict: Callable[[Iterable[Progress], Progress], str]
  promoted: Callable[[Iterable[Progress]], int | None]
  rungs_of: Callable[[int], Sequence[int]] = lambda number: ()


def make(name: str, intervals: int, trials: int) -> Stopper:
  """The rule called `name`, one of `research.sweep.names.STOPPERS`, for trials of these lengths."""
  if name == "asha":
    return asha(rungs(intervals, most=RUNGS))
  if name == "halving":
    return in_brackets([(range(trials), rungs(intervals, most=RUNGS))])
  if name == "hyperband":
    return in_brackets(hyperband_brackets(intervals, trials))
  if name == "median":
    return Stopper(
      lambda all_trials, trial: median_rule(intervals, all_trials, trial), _promotes_none
    )
  return Stopper(lambda all_trials, trial: "go", _promotes_none)


def _promotes_none(trials: Iterable[Progress]) -> None:
  return None


def rungs(intervals: int, *, most: int) -> list[int]:
  """Lists the intervals at which trials are compared, rising: the last over ETA, over ETA^2, ..."""
  found: list[int] = []
  while (rung := math.ceil(intervals / ETA ** (len(found) + 1))) < intervals and len(found) < most:
    if found and rung == found[-1]:
      break
    found.append(rung)
  return found[::-1]


def best(trials: Sequence[Progress], rung: int, count: int) -> list[Progress]:
  """Returns the `count` best trials at a rung; of equal ones the earlier."""
  return sorted(trials, key=lambda trial: (-trial.at(rung), trial.number))[:count]


def asha(rungs: Sequence[int]) -> Stopper:
  """Makes the rule of asynchronous successive halving (Li et al. 2020, algorithm 2).

  A trial goes on from a rung as soon as it is among the best 1/ETA of those that reached it so far,
  or diverged after they had been sent there from the rung before.
  """
  before = dict(zip(rungs, (0, *rungs), strict=False))

  def leading(trials: Iterable[Progress], rung: int) -> list[Progress]:
    there = [trial for trial in trials if trial.has_reached(rung, before[rung])]
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
  """Makes the rule of successive halving (Jamieson and Talwalkar 2016) within each bracket.

  A rung waits for all that were sent there, at the first rung the whole bracket; then the best
  1/ETA of them go on, at least one, and none that diverged.

  Args:
    brackets: the numbers of its trials, and its rungs.
  """
  rungs_of = {number: rungs for numbers, rungs in brackets for number in numbers}

  def verdict(trials: Iterable[Progress], trial: Progress) -> str:
    return "pause" if len(trial.scores) in rungs_of[trial.number] else "go"

  def promoted(trials: Iterable[Progress]) -> int | None:
    by_number = {trial.number: trial for trial in trials}
    for numbers, rungs in brackets:
      sent = [by_number[number] for number in numbers if number in by_number]
      if len(sent) < len(numbers):
        continue
      for rung in rungs:
        if not all(trial.has_reached(rung) for trial in sent):
          break
        sent = best(sent, rung, max(1, len(sent) // ETA))
        sent = [trial for trial in sent if trial.at(rung) > -math.inf]
        for trial in sent:
          if trial.status == "paused" and len(trial.scores) == rung:
            return trial.number
    return None

  return Stopper(verdict, promoted, rungs_of.__getitem__)


def hyperband_brackets(intervals: int, trials: int) -> list[tuple[list[int], list[int]]]:
  """Makes Hyperband's brackets (Li et al. 2018, algorithm 1), from many short trials to few long.

  The algorithm's own brackets, as many times over as comes closest to the number of trials, share
  the trials in proportion to their sizes (largest remainders; of equal ones the more aggressive
  bracket's). So each bracket keeps its share of the budget, which is what hedges between many short
  trials and few long ones, also where the trials are too few for one whole pass.

  Returns:
    For each bracket, most aggressive first, the numbers of its trials and its rungs.
  """
  sizes = hyperband_sizes(intervals)
  all_rungs = rungs(intervals, most=len(sizes) - 1)
  passes = max(1, round(trials / sum(sizes)))
  shares = [divmod(trials * size, passes * sum(sizes)) for size in sizes * passes]
  counts = [whole for whole, _ in shares]
  by_remainder = sorted(range(len(shares)), key=lambda place: (-shares[place][1], place))
  for place in by_remainder[: trials - sum(counts)]:
    counts[place] += 1
  brackets: list[tuple[list[int], list[int]]] = []
  dealt = 0
  for place, count in enumerate(counts):
    if count:
      brackets.append((list(range(dealt, dealt + count)), all_rungs[place % len(sizes) :]))
    dealt += count
  return brackets


def hyperband_sizes(intervals: int) -> list[int]:
  """Returns the trials of each bracket in algorithm 1, the most aggressive first.

  Bracket s, from floor(log_ETA R) down to 0, has ceil((s_max + 1) ETA^s / (s + 1)) trials.
  """
  most = 0
  while ETA ** (most + 1) <= intervals:
    most += 1
  return [-(-(most + 1) * ETA**s // (s + 1)) for s in range(most, -1, -1)]


def median_rule(intervals: int, trials: Iterable[Progress], trial: Progress) -> str:
  """Stops a trial whose best score is below the median of finished trials' averages up to there.

  Golovin et al. 2017 (Google Vizier), section 3.2.1.
  """
  reached = len(trial.scores)
  others = [statistics.fmean(each.scores[:reached]) for each in trials if each.status == "finished"]
  if reached <= GRACE * intervals or len(others) < FEWEST:
    return "go"
  return "stop" if max(trial.scores) < statistics.median(others) else "go"
