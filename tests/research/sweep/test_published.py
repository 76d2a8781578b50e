"""The rules of early stopping against plain references, written from the papers, over schedules.

Curves have ties, and values that are not finite: a loss (inf here), or loss and objective (nan).
"""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.sweep import pbt, stopping
from tests.fixtures.simulated_sweep import SPACE, plan_of, simulate

STUDIES = {
  "seed": st.integers(0, 10**6),
  "trials": st.integers(1, 40),
  "intervals": st.integers(2, 30),
  "slots": st.integers(1, 12),
  "lost": st.sampled_from([0.0, 0.0, 0.1, 0.5]),
}
few = settings(max_examples=40, deadline=None, derandomize=True)


def curves_of(seed, trials, intervals, lost):
  """Few different values, so that many are equal; a share of the trials is lost somewhere."""
  draw = np.random.default_rng(seed)
  curves = draw.integers(0, 6, (trials, intervals)).astype(float)
  for curve in curves:
    if draw.random() < lost:
      curve[draw.integers(intervals) :] = draw.choice([np.nan, np.inf])
  return curves.tolist()


def decisions(events):
  return [(event.kind, event.trial) for event in events if event.kind != "reported"]


def is_lost(value):
  return not math.isfinite(value)


class Workers:
  """Free workers ask for a job, all train one interval, and what they found is told."""

  def __init__(self, curves, slots):
    self.curves, self.slots = curves, slots
    self.reached = [0] * len(curves)
    self.running, self.events, self.started = [], [], 0
    self.finished, self.lost = [], []

  def run(self):
    while True:
      while len(self.running) < self.slots and (job := self.get_job()):
        self.events.append(job)
        self.running.append(job[1])
      if not self.running:
        return self.events
      reported = sorted(self.running)
      for trial in reported:
        self.reached[trial] += 1
        if is_lost(self.value(trial)):
          self.lost.append(trial)
        self.tell(trial)
      self.before = list(self.finished)  # who completes now is known from the next interval on
      for trial in reported:
        verdict = self.verdict(trial)
        if verdict != "go":
          self.running.remove(trial)
          self.events.append((verdict, trial))

  def value(self, trial):
    return self.curves[trial][self.reached[trial] - 1]

  def end(self, trial):
    if trial in self.lost:
      return "diverged"
    if self.reached[trial] == len(self.curves[trial]):
      self.finished.append(trial)
      return "finished"
    return None

  def new(self):
    if self.started == len(self.curves):
      return None
    self.started += 1
    return "started", self.started - 1

  def tell(self, trial):
    pass


class Asha(Workers):
  """Algorithm 2 of Li et al. 2020: rung k holds what was sent to it, with its score."""

  def __init__(self, curves, slots, rungs):
    super().__init__(curves, slots)
    self.rungs = rungs
    self.level = [0] * len(curves)  # the rung that a trial is on its way to
    self.held = [{} for _ in rungs]
    self.promoted = [set() for _ in rungs]

  def tell(self, trial):
    k = self.level[trial]
    if k < len(self.rungs) and (trial in self.lost or self.reached[trial] == self.rungs[k]):
      self.held[k][trial] = -math.inf if trial in self.lost else self.value(trial)

  def candidates(self, k):
    best = sorted(self.held[k], key=lambda trial: (-self.held[k][trial], trial))
    top = best[: len(best) // 3]
    return [t for t in top if t not in self.promoted[k] and self.held[k][t] > -math.inf]

  def verdict(self, trial):
    if end := self.end(trial):
      return end
    k = self.level[trial]
    if k == len(self.rungs) or self.reached[trial] < self.rungs[k]:
      return "go"
    if trial in self.candidates(k):  # its own worker asks next
      self.promote(trial, k)
      return "go"
    return "paused"

  def promote(self, trial, k):
    self.promoted[k].add(trial)
    self.level[trial] = k + 1

  def get_job(self):
    for k in reversed(range(len(self.rungs))):
      for trial in self.candidates(k):
        self.promote(trial, k)
        return "resumed", trial
    return self.new()


class Median(Workers):
  """Section 3.2.1 of Golovin et al. 2017."""

  def get_job(self):
    return self.new()

  def verdict(self, trial):
    if end := self.end(trial):
      return end
    s = self.reached[trial]
    averages = [statistics.fmean(self.curves[other][:s]) for other in self.before]
    if s <= 0.1 * len(self.curves[trial]) or len(averages) < 5:
      return "go"
    return "stopped" if max(self.curves[trial][:s]) < statistics.median(averages) else "go"


@few
@given(**STUDIES)
def test_asha_is_algorithm_2(seed, trials, intervals, slots, lost):
  curves = curves_of(seed, trials, intervals, lost)
  plan = plan_of(trials, intervals, slots=slots, stopper="asha")
  found, events = simulate(plan, lambda trial: curves[trial.number])
  reference = Asha(curves, plan.settings.slots, stopping.rungs(intervals, most=2))
  expected = reference.run()
  assert decisions(events)[: len(expected)] == expected
  if reference.finished:
    assert len(decisions(events)) == len(expected)
  else:
    check_that_one_was_taken_to_its_end(found)


def check_that_one_was_taken_to_its_end(trials):
  statuses = [trial.status for trial in trials.values()]
  assert statuses.count("finished") == 1 or set(statuses) == {"diverged"}


def halved(curves, numbers, rungs):
  """Jamieson and Talwalkar 2016: how long each trial of a bracket trains, round after round."""
  length, left = {}, list(numbers)
  for rung in [*rungs, None]:
    until = lambda number, rung=rung: curves[number][:rung]
    for number in left:
      lost = [place for place, value in enumerate(until(number), 1) if is_lost(value)]
      length[number] = lost[0] if lost else len(until(number))
    if rung:
      score = lambda n, rung=rung: -math.inf if length[n] < rung else curves[n][rung - 1]
      alive = lambda n, rung=rung: not any(map(is_lost, curves[n][:rung]))
      value = lambda n: score(n) if alive(n) else -math.inf  # noqa: B023
      best = sorted(left, key=lambda n: (-value(n), n))[: max(1, len(left) // 3)]
      left = [n for n in best if alive(n)]
  return length, left


@few
@given(**STUDIES, stopper=st.sampled_from(["halving", "hyperband"]))
def test_halving_and_hyperband_promote_the_best_of_whole_rungs(
  seed, trials, intervals, slots, lost, stopper
):
  curves = curves_of(seed, trials, intervals, lost)
  plan = plan_of(trials, intervals, slots=slots, stopper=stopper)
  found, _ = simulate(plan, lambda trial: curves[trial.number])
  brackets = [(range(trials), stopping.rungs(intervals, most=2))]
  if stopper == "hyperband":
    brackets = stopping.hyperband_brackets(intervals, trials)
  expected, finished = {}, []
  for numbers, rungs in brackets:
    lengths, left = halved(curves, numbers, rungs)
    expected |= lengths
    finished += [n for n in left if not any(map(is_lost, curves[n]))]
  if finished:
    assert {number: len(trial.reports) for number, trial in found.items()} == expected
    done = [number for number, trial in found.items() if trial.status == "finished"]
    assert sorted(done) == sorted(finished)
  else:
    check_that_one_was_taken_to_its_end(found)


@few
@given(**STUDIES)
def test_the_median_rule_is_that_of_vizier(seed, trials, intervals, slots, lost):
  curves = curves_of(seed, trials, intervals, lost)
  plan = plan_of(trials, intervals, slots=slots, stopper="median")
  _, events = simulate(plan, lambda trial: curves[trial.number])
  assert decisions(events) == Median(curves, plan.settings.slots).run()


@few
@given(seed=st.integers(0, 10**6), members=st.integers(2, 30), lost=st.sampled_from([0, 0.1, 0.9]))
def test_truncation_selection_replaces_the_worst_and_diverged_members_by_the_best(
  seed, members, lost
):
  draw = np.random.default_rng(seed)
  scores = {n: -math.inf if draw.random() < lost else draw.integers(9) for n in range(members)}
  values = [{"learning_rate": float(draw.uniform(1e-4, 1))} for _ in range(members)]
  copies = pbt.copies(SPACE, seed, 3, scores, values)
  best_first = sorted(range(members), key=lambda n: (-scores[n], n))
  fifth = max(1, int(0.2 * members))
  top, bottom = best_first[:fifth], best_first[members - fifth :]
  finite = {n for n in range(members) if math.isfinite(scores[n])}
  if not finite:
    assert copies == []
    return
  assert {copy.to for copy in copies} == ({*bottom} - {*top} & finite) | (
    {*range(members)} - finite
  )
  assert {copy.source for copy in copies} <= {*top} & finite
  for copy in copies:
    own = values[copy.source]["learning_rate"]
    allowed = [min(max(own * factor, 1e-4), 1.0) for factor in (0.8, 1.2)]
    assert any(copy.values["learning_rate"] == pytest.approx(each) for each in allowed)


@pytest.mark.parametrize(
  "intervals, sizes",
  [
    (8, [3, 2]),
    (10, [9, 5, 3]),
    (27, [27, 12, 6, 4]),
    (50, [27, 12, 6, 4]),
    (81, [81, 34, 15, 8, 5]),
    (100, [81, 34, 15, 8, 5]),
  ],
)
def test_hyperbands_brackets_are_those_of_algorithm_1(intervals, sizes):
  brackets = stopping.hyperband_brackets(intervals, sum(sizes))
  assert [len(numbers) for numbers, _ in brackets] == sizes
  for deepest, (_, rungs) in zip(range(len(sizes) - 1, -1, -1), brackets, strict=True):
    assert rungs == [math.ceil(intervals / 3**s) for s in range(deepest, 0, -1)]


@pytest.mark.parametrize("trials", [1, 3, 10, 20, 49, 60, 100, 500])
def test_hyperband_deals_the_trials_to_its_brackets_in_proportion(trials):
  brackets = stopping.hyperband_brackets(50, trials)
  assert [number for numbers, _ in brackets for number in numbers] == list(range(trials))
  by_depth = {3: 27, 2: 12, 1: 6, 0: 4}
  passes = max(1, round(trials / 49))
  for numbers, rungs in brackets:
    assert abs(len(numbers) - trials / passes * by_depth[len(rungs)] / 49) < 1
  if trials == 20:
    assert [len(numbers) for numbers, _ in brackets] == [11, 5, 2, 2]


@pytest.mark.parametrize(
  "trials, lost, beyond",
  [(81, 0, (28, 9)), (81, 27, (28, 9)), (81, 40, (28, 9)), (27, 0, (9, 3)), (27, 13, (9, 3))],
)
def test_asha_promotes_as_many_trials_however_many_diverged(trials, lost, beyond):
  counts = []
  for seed in range(5):
    draw = np.random.default_rng(seed)
    curves = np.sort(draw.random((trials, 9)), axis=1)
    curves[draw.permutation(trials)[:lost]] = np.nan
    plan = plan_of(trials, 9, slots=8, stopper="asha")
    found, _ = simulate(plan, lambda trial, curves=curves: curves[trial.number].tolist())
    counts.append([sum(len(t.reports) > rung for t in found.values()) for rung in (1, 3)])
  np.testing.assert_allclose(np.mean(counts, axis=0), beyond, rtol=0.25)


@pytest.mark.parametrize("stopper", ["none", "asha", "halving", "hyperband", "median", "pbt"])
@pytest.mark.parametrize("trials", [2, 3, 5, 10])
@pytest.mark.parametrize("lost", [(), (0,), (0, 1)])
def test_small_studies_take_a_trial_to_its_end(stopper, trials, lost):
  curves = [
    [np.nan] * 20 if n in lost else [0.1 * n + 0.01 * i for i in range(20)] for n in range(9)
  ]
  plan = plan_of(trials, 20, slots=4, stopper=stopper)
  found, _ = simulate(plan, lambda trial: curves[trial.number % 9])
  assert len(found) == trials
  ends = {trial.status for trial in found.values()}
  assert "running" not in ends and ("finished" in ends or len(lost) == trials)
