"""What a plan ranks, tells its sampler and says beforehand; on simulated learning curves."""

import math

import numpy as np
import pytest

from experiments.tuning import random_search
from research.errors import UserError
from research.lab.lab import Lab
from research.sweep import loop, search
from research.sweep import plan as planning
from research.sweep.space import Choice, Range, Space
from research.sweep.study import Trial
from research.training import Options
from tests.fixtures.simulated_sweep import SPACE, plan_of, report, simulate
from tests.fixtures.tiny_experiment import Config

pytestmark = pytest.mark.fast


def trial(number, scores, status, rate=0.1, round=0):
  made = Trial(number, {"learning_rate": rate}, round)
  made.reports, made.status = [report(score) for score in scores], status
  return made


def by_number(*trials):
  return {each.number: each for each in trials}


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_trials_rank_by_length_then_by_score_with_diverged_ones_last(larger_is_better):
  sign = 1 if larger_is_better else -1
  plan = plan_of(6, 9, slots=2, stopper="asha", larger_is_better=larger_is_better)
  trials = by_number(
    trial(0, [sign * 0.9], "paused"),
    trial(1, [sign * 0.1] * 9, "finished"),
    trial(2, [sign * 0.2] * 9, "finished"),
    trial(3, [sign * 0.95] * 8 + [math.nan], "diverged"),
    trial(4, [sign * 0.3] * 3, "paused"),
    trial(5, [sign * 0.8], "paused"),
  )
  assert [each.number for each in planning.ranked(plan, trials)] == [2, 1, 4, 0, 5, 3]


def test_a_round_refines_around_trials_that_were_judged_at_one_length():
  plan = plan_of(20, 9, slots=4, stopper="asha", rounds=2)
  near, far = [0.01, 0.011, 0.012], np.geomspace(0.1, 0.9, 7)
  trials = by_number(
    *(trial(n, [0.5] * 9, "finished", rate) for n, rate in enumerate(near)),
    *(trial(3 + n, [0.9], "paused", float(rate)) for n, rate in enumerate(far)),
  )
  space, _ = planning.space_of_round(plan, trials, 1)
  after = space.distributions["learning_rate"]
  assert after.low <= 0.01 and 0.012 <= after.high <= 0.1 + 1e-9


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_samplers_models_are_fitted_to_paused_trials_too(monkeypatch, sampler):
  """Most trials of ASHA never finish: their scores count, the longer trained first."""
  for package in {"tpe": ["optuna"], "gp": ["optuna", "torch"], "cmaes": ["cmaes"]}[sampler]:
    pytest.importorskip(package)
  most = 13 if sampler == "gp" else 27
  plan = plan_of(most, 9, slots=3, stopper="asha", sampler=sampler)
  asked = []
  original = search._SUGGEST[sampler]
  monkeypatch.setitem(search._SUGGEST, sampler, lambda a: asked.append(a) or original(a))
  curve = lambda trial: [-abs(math.log10(trial.values["learning_rate"]) + 2)] * 9
  trials, _ = simulate(plan, curve)
  halton = [search.suggest("halton", SPACE, 0, number, [], most) for number in range(most)]
  own = [trials[number].values for number in range(most)]
  needed = search.start_up(sampler, SPACE)
  for each in asked[1:]:
    assert len(each.finished) + len(each.pending) == each.number
    assert len(each.pending) < 3  # those that run
    if sampler != "cmaes":
      assert (own[each.number] == halton[each.number]) == (len(each.finished) < needed)
  assert sum(len(each.finished) >= needed for each in asked) >= most - needed - 3


@pytest.mark.slow
def test_tpe_under_asha_is_at_least_as_good_as_random_on_the_curves_of_r07(tmp_path):
  """A hundred trials are trained once; a trial of a search is the one that lies nearest."""
  pytest.importorskip("optuna")
  space = Space(random_search.Config(), random_search.RANGES)
  how = planning.Settings(100, random_search.OBJECTIVE, sampler="halton")
  trained = Lab(tmp_path, seed=0, options=Options()).sweep(
    "curves", space, random_search.training, how
  )
  places = np.array([space.units(each.values) for each in trained.trials.values()])
  curves = [each.curve(random_search.OBJECTIVE) for each in trained.trials.values()]

  def best(sampler, seed):
    plan = plan_of(40, 50, slots=8, space=space, seed=seed, sampler=sampler, stopper="asha")
    nearest = lambda trial: int(
      np.argmin(np.sum((places - space.units(trial.values)) ** 2, axis=1))
    )
    trials, _ = simulate(plan, lambda trial: curves[nearest(trial)])
    return planning.score(plan, planning.ranked(plan, trials)[0])

  found = {name: [best(name, seed) for seed in range(10)] for name in ("random", "tpe")}
  assert np.mean(found["tpe"]) >= np.mean(found["random"])


def test_samplers_get_ranks_where_trials_have_unequal_lengths():
  told = [
    search.Finished(0, {}, 0.9, 1),
    search.Finished(1, {}, 0.2, 9),
    search.Finished(2, {}, -math.inf, 0),
    search.Finished(3, {}, 0.9, 1),
    search.Finished(4, {}, 0.3, 3),
  ]
  assert [each.score for each in search._rank(told)] == [1, 3, 0, 1, 2]


SMALL = Space(Config(), {"learning_rate": Choice((0.1, 0.2)), "width": Range("linear", 3, 5, True)})


@pytest.mark.parametrize("sampler", ["random", "halton", "sobol", "tpe", "cmaes"])
def test_no_two_trials_have_the_same_values(sampler):
  if package := {"tpe": "optuna", "cmaes": "cmaes"}.get(sampler):
    pytest.importorskip(package)
  plan = plan_of(20, 4, slots=2, space=SMALL, sampler=sampler)
  assert plan.settings.trials == 6
  trials, _ = simulate(plan, lambda trial: [trial.values["learning_rate"]] * 4)
  assert len({tuple(each.values.values()) for each in trials.values()}) == 6
  asked = plan.settings._replace(trials=20)
  assert "makes 6 different trials" in planning.notes(plan, asked)[0]


@pytest.mark.parametrize("sampler", ["random", "grid"])
@pytest.mark.parametrize("trials", [10**9, 10**30])
def test_more_trials_than_a_sweep_holds_are_refused_at_once(sampler, trials):
  with pytest.raises(UserError, match="more than the 100,000 trainings") as refused:
    plan_of(trials, 4, slots=2, sampler=sampler)
  assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
  "how, words",
  [
    ({"sampler": "tpe", "trials": 10, "slots": 1}, "only 9 have"),
    ({"sampler": "tpe", "trials": 11, "slots": 1}, None),
    ({"sampler": "gp", "trials": 20, "slots": 128}, "the model is never asked"),
    ({"sampler": "cmaes", "trials": 4, "slots": 1}, "once 4 trials have a score, and only 3"),
    ({"sampler": "random", "trials": 3, "slots": 8}, None),
    ({"stopper": "median", "trials": 8, "slots": 8}, "it can stop none"),
    ({"stopper": "median", "trials": 20, "slots": 8}, None),
    ({"stopper": "pbt", "trials": 4, "slots": 8, "intervals": 1}, "there is only one"),
  ],
)
def test_settings_that_will_have_no_effect_are_noted_before_the_sweep(how, words):
  how = {"intervals": 9} | how
  plan = plan_of(how.pop("trials"), how.pop("intervals"), **how)
  notes = planning.notes(plan, plan.settings)
  assert (words in notes[0]) if words else not notes


def test_a_population_of_one_is_refused():
  with pytest.raises(UserError, match="at least --trials=2"):
    plan_of(1, 9, slots=8, stopper="pbt")


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_the_live_line_shows_the_best_value_so_far_with_its_sign(larger_is_better):
  plan = plan_of(1000, 9, slots=8, stopper="asha", larger_is_better=larger_is_better)
  curve = [-487.5, -390.25, -500.125] if larger_is_better else [487.5, 390.25, 500.125]
  shown = []
  for count in range(1, 4):
    trials = by_number(
      trial(0, curve[:count], "running"),
      *(trial(n, [curve[0]], status) for n, status in enumerate(["paused", "finished"] * 150, 1)),
      *(trial(n, [math.nan], "diverged") for n in range(301, 420)),
    )
    shown.append(loop._summary(plan, trials, 0.0, 3600 * 20))
    assert len(f"study: {shown[-1]}") <= loop.COLUMNS
  values = [float(line.partition("best ")[2].partition(",")[0]) for line in shown]
  best = -390.2 if larger_is_better else 390.2
  assert values == [-487.5 if larger_is_better else 487.5, best, best]
