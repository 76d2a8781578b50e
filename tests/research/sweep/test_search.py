"""Samplers: pure, fair, even, and the models among them learn."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from research.errors import UserError
from research.sweep.names import SAMPLERS
from research.sweep.search import START_UP, Finished, grid_size, suggest
from research.sweep.space import Choice, Range, Space

ROOT = Path(__file__).parents[3]
SPACE = Space(
  None,
  {
    "rate": Range("log", 1e-4, 1.0),
    "beta": Range("oneminus", 0.5, 0.999),
    "width": Range("linear", 2, 9, whole=True),
    "rule": Choice(("sgd", "adam", "lion")),
  },
)
SQUARE = Space(None, {"x": Range("linear", -5.0, 5.0), "rate": Range("log", 1e-4, 1.0)})
MODELS = {"tpe": ["optuna"], "gp": ["optuna", "torch"], "cmaes": ["cmaes"]}


def need(sampler):
  for package in MODELS.get(sampler, []):
    pytest.importorskip(package, reason="the samplers' extra is not installed")


def score(values):
  """Best, with 0, at x = 1 and rate = 0.01."""
  return -((values["x"] - 1) ** 2) - (math.log10(values["rate"]) + 2) ** 2


def halton_points(space, count, score):
  trials = [suggest("halton", space, 5, number, [], count) for number in range(count)]
  return [Finished(number, values, score(values)) for number, values in enumerate(trials)]


def asked(sampler, number=20, finished=None):
  """One suggestion in a space of every kind, after START_UP trials and one diverged."""
  if finished is None:
    finished = halton_points(SPACE, START_UP + 1, lambda values: values["width"] - values["beta"])
    finished[3] = finished[3]._replace(score=-math.inf)
  return suggest(sampler, SPACE, 7, number, finished, trials=50)


def search(sampler, seed, trials, diverges=lambda values: False):
  finished = []
  for number in range(trials):
    values = suggest(sampler, SQUARE, seed, number, finished, trials)
    finished.append(Finished(number, values, -math.inf if diverges(values) else score(values)))
  return finished


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_lie_in_the_space(sampler):
  need(sampler)
  values = asked(sampler)
  assert list(values) == list(SPACE.distributions)
  assert type(values["width"]) is int and 2 <= values["width"] <= 9
  assert 1e-4 <= values["rate"] <= 1 and 0.5 <= values["beta"] <= 0.999


def test_another_process_gives_the_same_answer():
  installed = [
    sampler for sampler in SAMPLERS if all(map(importlib.util.find_spec, MODELS.get(sampler, [])))
  ]
  script = (
    "import json; from tests.research.sweep.test_search import asked; "
    f"print(json.dumps([asked(sampler) for sampler in {installed}]))"
  )
  answer = subprocess.run(
    [sys.executable, "-c", script],
    cwd=ROOT,
    env=os.environ | {"PYTHONHASHSEED": "11"},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert answer.returncode == 0, answer.stderr
  assert json.loads(answer.stdout) == [asked(sampler) for sampler in installed]


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "grid"])
def test_suggestions_of_a_batch_and_of_other_seeds_differ(sampler):
  need(sampler)
  batch = [asked(sampler, number)["rate"] for number in range(20, 23)]
  assert len(set(batch)) == 3
  one, two = (suggest(sampler, SQUARE, seed, 3, [], 9) for seed in (0, 1))
  assert one != two


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_the_order_in_which_trials_finished_does_not_matter(sampler):
  need(sampler)
  finished = halton_points(SPACE, 12, lambda values: values["rate"])
  assert asked(sampler, finished=finished) == asked(sampler, finished=finished[::-1])


@pytest.mark.parametrize("sampler", ["random", "halton", "sobol"])
def test_each_parameter_is_drawn_uniformly_on_its_own_scale(sampler):
  drawn = [suggest(sampler, SPACE, 1, number, [], 512) for number in range(512)]
  rates, betas = (np.array([values[name] for values in drawn]) for name in ("rate", "beta"))
  assert stats.kstest(np.log10(rates), stats.uniform(-4, 4).cdf).pvalue > 0.01
  assert stats.kstest(rates, stats.uniform(0, 1).cdf).pvalue < 1e-6
  ends = np.log10([1 - 0.999, 1 - 0.5])
  assert stats.kstest(np.log10(1 - betas), stats.uniform(ends[0], np.ptp(ends)).cdf).pvalue > 0.01
  for name, values in (("width", range(2, 10)), ("rule", ("sgd", "adam", "lion"))):
    counts = [sum(each[name] == value for each in drawn) for value in values]
    assert sum(counts) == 512
    assert stats.chisquare(counts).pvalue > 0.01, (name, counts)


@pytest.mark.parametrize("sampler", ["halton", "sobol"])
def test_halton_and_sobol_points_are_more_even_than_random_ones(sampler):
  def discrepancy(sampler, seed):
    points = [SQUARE.units(suggest(sampler, SQUARE, seed, n, [], 64)) for n in range(64)]
    return qmc.discrepancy(np.clip(points, 0, 1))

  for seed in range(3):
    assert discrepancy(sampler, seed) < discrepancy("random", seed) / 4


def test_a_grid_covers_every_scale_and_all_choices():
  space = SPACE._replace(distributions=SPACE.distributions | {"width": Range("linear", 2, 3, True)})
  assert grid_size(space, 100) == 4 * 4 * 2 * 3
  points = [suggest("grid", space, 0, number, [], 100) for number in range(96)]
  assert len({tuple(values.values()) for values in points}) == 96
  rates = sorted({values["rate"] for values in points})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-4, 0, 4), atol=1e-9)
  complements = [1 - values["beta"] for values in points]
  np.testing.assert_allclose([min(complements), max(complements)], [0.001, 0.5])
  assert {values["width"] for values in points} == {2, 3}


@pytest.mark.parametrize(
  ("distributions", "trials", "size"),
  [
    ({"x": Range("linear", 0, 1)}, 12, 12),
    ({"x": Range("linear", 0, 1), "y": Range("log", 1, 2)}, 25, 25),
    ({"x": Range("linear", 0, 1), "y": Range("log", 1, 2)}, 30, 30),  # 5 x 6
    ({name: Range("linear", 0, 1) for name in "xyz"}, 125, 125),
    ({"x": Range("linear", 0, 1), "n": Range("linear", 1, 2, True)}, 20, 20),  # 10 x 2
    ({"c": Choice((1, 2, 3))}, 5, 3),
  ],
)
def test_a_grid_has_as_many_points_as_the_trials_allow(distributions, trials, size):
  assert grid_size(Space(None, distributions), trials) == size


def test_a_grid_that_does_not_fit_is_refused_in_one_line():
  with pytest.raises(UserError, match=r"5 x 6 = 30 points, and no trial 30; .*") as error:
    suggest("grid", SQUARE, 0, 30, [], 30)
  assert "\n" not in str(error.value)
  with pytest.raises(UserError, match=r"the choices .* alone make more than --trials=2"):
    grid_size(SPACE, 2)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_models_move_towards_the_optimum(sampler):
  need(sampler)
  late = lambda sampler: np.mean(
    [trial.score for seed in range(3) for trial in search(sampler, seed, 40)[-10:]]
  )
  assert late(sampler) > late("random") / 2


def test_gp_moves_towards_the_optimum():
  need("gp")
  finished = halton_points(SQUARE, 12, score)
  for seed in range(3):
    assert score(suggest("gp", SQUARE, seed, 12, finished, 20)) > -0.3


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_move_away_from_diverged_trials(sampler):
  need(sampler)
  for seed in range(3):
    trials = search(sampler, seed, 40, diverges=lambda values: values["rate"] > 0.1)
    late = [trial for trial in trials[-10:] if trial.score == -math.inf]
    assert len(late) <= 2
    assert max(trial.score for trial in trials) > -1


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_samplers_suggest_values_after_only_diverged_trials(sampler):
  need(sampler)
  finished = halton_points(SQUARE, 12, lambda values: -math.inf)
  assert -5 <= suggest(sampler, SQUARE, 0, 12, finished, 20)["x"] <= 5


def test_gp_keeps_away_from_the_values_of_running_trials():
  need("gp")
  finished = halton_points(SQUARE, 12, score)
  first = suggest("gp", SQUARE, 0, 12, finished, 20)
  distance = lambda values: math.dist(SQUARE.units(values), SQUARE.units(first))
  alone = suggest("gp", SQUARE, 0, 13, finished, 20)
  beside = suggest("gp", SQUARE, 0, 13, finished, 20, pending=[first])
  assert distance(alone) < 1e-3 < distance(beside) / 10


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_ignore_trials_outside_of_a_refined_space(sampler):
  need(sampler)
  finished = halton_points(SPACE, 30, lambda values: values["rate"])
  narrow = SPACE._replace(
    distributions=SPACE.distributions
    | {"rate": Range("log", 1e-3, 1e-1), "rule": Choice(("sgd", "adam"))}
  )
  inside = [
    trial
    for trial in finished
    if 1e-3 <= trial.values["rate"] <= 1e-1 and trial.values["rule"] != "lion"
  ]
  assert 0 < len(inside) < 30
  values = suggest(sampler, narrow, 0, 30, finished, 50, pending=[finished[0].values])
  assert 1e-3 <= values["rate"] <= 1e-1
  assert values == suggest(sampler, narrow, 0, 30, inside, 50, pending=[finished[0].values])


@pytest.mark.parametrize(
  ("sampler", "package", "command"),
  [
    ("tpe", "optuna", "pip install -e '.[sweep]'"),
    ("gp", "torch", "pip install torch"),
    ("cmaes", "cmaes", "pip install -e '.[sweep]'"),
  ],
)
def test_a_missing_package_is_refused_in_one_line(monkeypatch, sampler, package, command):
  if package == "torch":
    pytest.importorskip("optuna")
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(UserError, match=f"--sampler={sampler} needs the package {package}") as error:
    asked(sampler)
  assert command in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_sampler_is_refused_in_one_line():
  with pytest.raises(UserError, match="--sampler: unknown sampler 'haltn'; did you mean halton"):
    suggest("haltn", SQUARE, 0, 0, [], 1)
