"""A sweep in words and figures, from given learning curves."""

import math
import shlex
from types import SimpleNamespace

import pytest

from research.reporting import sweep_findings, sweep_report
from research.sweep import space as spaces
from research.sweep.plan import Swept
from research.sweep.space import Choice, Range, Space
from research.training import Conditions
from tests.fixtures.simulated_sweep import plan_of, simulate
from tests.fixtures.tiny_experiment import ONE, Config

pytestmark = pytest.mark.fast

LAB = SimpleNamespace(seed=2, conditions=Conditions())
EXPERIMENT = ONE._replace(name="tiny_net", flag="tiny_net")
SEARCH = {"trials": 6, "sampler": "random", "stopper": "asha", "objective": None}


def swept(curve, *, trials=6, stopper="none", low=1e-4):
  space = Space(
    Config(width=7), {"learning_rate": Range("log", low, 1.0), "kind": Choice(("plain", "fancy"))}
  )
  plan = plan_of(trials, 4, slots=2, space=space, stopper=stopper)
  return Swept(plan, simulate(plan, curve)[0])


def rate_at(best):
  """Curves whose end is the higher the nearer the rate is to the best, up to 0.9."""
  far = lambda trial: abs(math.log(trial.values["learning_rate"] / best))
  return lambda trial: [0.9 - 0.05 * far(trial) - 0.01 * (3 - n) for n in range(4)]


def test_the_winner_is_named_with_its_settings_and_score():
  found = swept(rate_at(1e-2))
  best = found.ranked()[0]
  first = sweep_findings.notes(found, 0.875)[0]
  assert first.startswith(f"Trial {best.number} of 6 won: learning_rate = ")
  assert f"test/accuracy {100 * found.score(best):.2f} %" in first
  assert "Trained again alone: 87.50 %." in first
  table = sweep_findings.trials_table(found)
  assert len(table.rows) == 6 and table.rows[0][1] == str(best.number)
  assert table.head[-2:] == ("learning_rate", "kind")


def test_the_winners_command_is_a_run_of_its_settings():
  found = swept(rate_at(1e-2))
  config = found.config(found.ranked()[0])
  words = shlex.split(sweep_findings.winner_command(EXPERIMENT, config, LAB))
  assert words[:4] == ["python", "launch.py", "--experiment=tiny_net", "--seed=2"]
  assert "--width=7" in words and f"--learning_rate={config.learning_rate}" in words


@pytest.mark.parametrize(("best", "end"), [(1e-9, "lower"), (1e9, "upper"), (1e-2, None)])
def test_a_winner_at_the_edge_is_warned_of(best, end):
  found = swept(rate_at(best), trials=20)
  text = " ".join(sweep_findings.notes(found, 0.5))
  assert ("at the edge" in text) == (end is not None)
  assert end is None or f"learning_rate near the {end} end of log(0.0001,1)" in text


@pytest.mark.parametrize("best", [1e-9, 1e-2, 1e9])
def test_the_next_sweep_is_a_command_that_can_be_given(best):
  found = swept(rate_at(best), trials=20)
  words = shlex.split(sweep_findings.next_command(EXPERIMENT, Config(width=7), LAB, SEARCH, found))
  (text,) = [word.removeprefix("--sweep=") for word in words if word.startswith("--sweep=")]
  space = spaces.parse(text, Config())
  assert list(space.distributions) == ["learning_rate", "kind"]
  assert {"--width=7", "--trials=6", "--stopper=asha", "--seed=2"} < set(words)
  winner = found.ranked()[0].values["learning_rate"]
  within = space.distributions["learning_rate"]
  assert within.low <= winner <= within.high
  assert (within.low < 1e-4) == (best == 1e-9) and (within.high > 1) == (best == 1e9)


def test_one_seed_says_nothing_of_chance():
  assert "add seeds(3)" in sweep_findings.certainty(swept(rate_at(1e-2)))


def test_trials_are_compared_over_paired_seeds():
  found = swept(rate_at(1e-2))
  found = found._replace(plan=found.plan._replace(space=found.plan.space._replace(repeats=3)))
  ranked = found.ranked()
  for place, trial in enumerate(ranked):
    noise = (0.0, 0.1, 0.05) if place == 1 else (0.0, 0.001, 0.002)
    end = [0.9, 0.91, 0.92]
    trial.reports[-1]["test/accuracy"] = [
      v - 0.04 * (place > 0) - 0.01 * place + n for v, n in zip(end, noise, strict=True)
    ]
    trial._means.clear()
  text = sweep_findings.certainty(found)
  assert "1 of the 5 other trials" in text and "cannot be told from the winner" in text


@pytest.mark.parametrize(
  "curve", [rate_at(1e-2), lambda trial: [0.0] * 4, lambda trial: [1.0] * 4], ids=["far", "0", "1"]
)
def test_no_panel_is_empty_or_counts_in_fractions(curve):
  found = swept(curve, trials=12, stopper="asha")
  drawn = {picture.name: picture.figure for picture in sweep_report.pictures(found)}
  assert any(len(trial.reports) == 1 for trial in found.trials.values())
  for axes in drawn["best_trials"].axes:
    if axes.get_visible():
      assert axes.lines
      for line in axes.lines:
        assert len(line.get_xdata()) > 1 or line.get_marker() not in (None, "None")
      drawn["best_trials"].draw_without_rendering()
      low, high = axes.get_xlim()
      ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
      assert ticks and all(tick == round(tick) for tick in ticks)
