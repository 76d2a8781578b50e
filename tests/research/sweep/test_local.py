"""A sweep, however it is chopped up, killed or laid out in lanes, is the same study row by row."""

import functools
import sqlite3

import numpy as np
import pytest

from research.errors import InterruptedRun, UserError
from research.lab.lab import Lab
from research.reporting.sweep_report import _best_so_far
from research.sweep import space as spaces
from research.sweep.study import read
from research.training import Options
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config, training
from tests.fixtures.tiny_sweep import SETTINGS, SPACE, WITH_WIDTHS, rows


def swept(folder, text=SPACE, *, lanes="auto", interruption=None, save_seconds=1e9, **changes):
  folder.mkdir(exist_ok=True)
  options = Options(save_seconds=save_seconds, lanes=lanes)
  lab = Lab(folder, seed=0, options=options, interruption=interruption)
  return lab.sweep("study", spaces.parse(text, Config()), training, SETTINGS._replace(**changes))


@functools.cache
def expected_rows(base, **changes):
  folder = base / "-".join(f"{name}={value}" for name, value in changes.items())
  swept(folder, **changes)
  return rows(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
  return tmp_path_factory.mktemp("studies")


def chopped(folder, patience=(2, 1, 3), **changes):
  """Interrupted again and again; returns how often."""
  stops = 0
  while True:
    try:
      swept(folder, interruption=StopAfter(patience[stops % len(patience)]), **changes)
      return stops
    except InterruptedRun:
      stops += 1


def test_every_trial_runs_once_and_to_its_end(base, tmp_path):
  result = swept(tmp_path)
  assert sorted(result.trials) == list(range(7))
  for trial in result.trials.values():
    assert trial.status == "finished" and len(trial.reports) == 4  # of 40 steps, 10 an interval
    assert set(trial.values) == {"learning_rate", "noise"}
  scores = [result.score(trial) for trial in result.ranked()]
  assert scores == sorted(scores, reverse=True)
  kinds = [row[1] for row in rows(tmp_path)]
  assert kinds.count("started") == kinds.count("finished") == 7


def test_a_trials_config_as_flags_makes_the_same_fit_again(tmp_path):
  result = swept(tmp_path)
  best = result.ranked()[0]
  lab = Lab(tmp_path, seed=0, options=Options())
  config = result.config(best)
  fit = lab.fit("train", config, training(config))
  for name in ("test/accuracy", "test/loss"):
    assert best.curve(name)[-1] == pytest.approx(fit.last(name), rel=1e-6)


@pytest.mark.parametrize(
  "objective, larger_is_better",
  [("test/loss", False), ("test/loss", True), ("test/accuracy", True)],
)
def test_trials_rank_by_the_stored_direction_whatever_the_metrics_name(
  tmp_path, objective, larger_is_better
):
  result = swept(tmp_path, trials=4, objective=objective, larger_is_better=larger_is_better)
  scores = [result.score(trial) for trial in result.ranked()]
  assert scores == sorted(scores, reverse=larger_is_better)
  assert len(set(scores)) > 1
  _, best_so_far = _best_so_far(result)
  assert best_so_far == sorted(best_so_far, reverse=not larger_is_better)


@pytest.mark.parametrize("objective", ["test/loss", "test/accuracy"])
def test_a_study_from_before_the_direction_was_stored_is_read_and_goes_on(tmp_path, objective):
  changes = {"trials": 2, "objective": objective, "larger_is_better": objective != "test/loss"}
  expected = swept(tmp_path, **changes)
  connection = sqlite3.connect(tmp_path / "study.sqlite")
  with connection:
    connection.execute("DELETE FROM settings WHERE name = 'larger_is_better'")
  connection.close()
  settings, _ = read(tmp_path / "study.sqlite")
  assert settings["larger_is_better"] == changes["larger_is_better"]
  assert swept(tmp_path, **changes).trials[1].reports == expected.trials[1].reports


@pytest.mark.parametrize(
  "sampler",
  ["halton", "tpe", *(pytest.param(s, marks=pytest.mark.slow) for s in ("random", "grid"))],
)
def test_interruptions_change_no_row(base, tmp_path, sampler):
  if sampler == "tpe":
    pytest.importorskip("optuna")
  assert chopped(tmp_path / "chopped", sampler=sampler) >= 1
  assert rows(tmp_path / "chopped") == expected_rows(base, sampler=sampler)


def test_interruptions_change_no_row_where_trials_need_several_programs(base, tmp_path):
  changes = {"text": WITH_WIDTHS, "trials": 4}
  assert chopped(tmp_path / "chopped", **changes) >= 1
  assert rows(tmp_path / "chopped") == expected_rows(base, **changes)


@pytest.mark.parametrize(
  "stopper",
  [
    "asha",
    "hyperband",
    "pbt",
    *(pytest.param(s, marks=pytest.mark.slow) for s in ("halving", "median")),
  ],
)
def test_interruptions_change_no_row_of_a_sweep_that_stops_early(base, tmp_path, stopper):
  changes = {"stopper": stopper, "trials": 9}
  assert chopped(tmp_path / "chopped", **changes) >= 1
  assert rows(tmp_path / "chopped") == expected_rows(base, **changes)


def test_a_study_without_a_checkpoint_starts_over_and_comes_out_the_same(base, tmp_path):
  with pytest.raises(InterruptedRun):
    swept(tmp_path, interruption=StopAfter(2))
  for path in (tmp_path / "checkpoints").rglob("*"):
    if path.is_file():
      path.unlink()
  swept(tmp_path)
  assert rows(tmp_path) == expected_rows(base, sampler="random")


def test_a_complete_study_is_read_and_not_made_again(base, tmp_path, monkeypatch):
  first = swept(tmp_path)
  monkeypatch.setattr("research.sweep.local.Slots", None)
  again = swept(tmp_path)
  assert [t.reports for t in again.ranked()] == [t.reports for t in first.ranked()]


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_the_number_of_slots_changes_no_trial(base, tmp_path, slots):
  trials = swept(tmp_path, slots=slots).trials
  others = swept(base / "three", slots=3).trials
  for number, trial in others.items():
    assert trials[number].reports == trial.reports and trials[number].values == trial.values


def test_a_diverged_trial_ranks_last_and_changes_no_other_trial(base, tmp_path):
  text = "learning_rate=choice(0.1,0.5,0.7); fatal_step=choice(-1,15)"
  result = swept(tmp_path, text, sampler="grid", trials=6, slots=6)
  lost = [trial for trial in result.trials.values() if trial.values["fatal_step"] == 15]
  assert {trial.status for trial in lost} == {"diverged"}
  assert {len(trial.reports) for trial in lost} == {2}
  assert [trial in lost for trial in result.ranked()] == [False] * 3 + [True] * 3
  clean = swept(base / "clean", "learning_rate=choice(0.1,0.5,0.7)", sampler="grid", trials=3)
  for one in clean.trials.values():
    (same,) = [
      trial for trial in result.trials.values() if trial.values == one.values | {"fatal_step": -1.0}
    ]
    assert same.reports == one.reports


def test_repeats_share_their_seeds_and_the_score_is_their_mean(tmp_path):
  result = swept(tmp_path, "learning_rate=log(1e-3,10); seeds(3)", trials=3, slots=6)
  for trial in result.trials.values():
    values = trial.reports[-1]["test/accuracy"]
    assert len(values) == 3 and result.score(trial) == pytest.approx(np.mean(values))
    assert len(set(trial.reports[-1]["test/loss"])) == 3


def test_a_paused_trial_goes_on_as_if_it_had_never_stopped(base, tmp_path):
  asha = swept(tmp_path, stopper="asha", trials=9)
  whole = swept(base / "whole", trials=9)
  finished = [trial for trial in asha.trials.values() if trial.status == "finished"]
  assert 0 < len(finished) < 9
  for trial in asha.trials.values():
    assert trial.reports == whole.trials[trial.number].reports[: len(trial.reports)]
  assert "resumed" in {row[1] for row in rows(tmp_path)}


def test_population_based_training_copies_states_and_varies_values(tmp_path):
  text = "learning_rate=log(1e-3,10)"
  result = swept(tmp_path, text, stopper="pbt", trials=10)
  copied = [row for row in rows(tmp_path) if row[1] == "copied"]
  assert len(copied) == 2 * 3  # a fifth of ten, after each interval but the last
  assert {trial.status for trial in result.trials.values()} == {"finished"}


def test_the_best_member_of_a_population_is_retrained_by_its_schedule(tmp_path):
  result = swept(tmp_path, "learning_rate=log(1e-3,1e3)", stopper="pbt", trials=10)
  best = next(trial for trial in result.ranked() if len(trial.schedule) > 1)
  assert [interval for interval, _ in best.schedule] == sorted({n for n, _ in best.schedule})
  config = result.config(best)
  task = training(config)
  schedule = [(n * task.evaluate_every, each) for n, each in result.schedule(best)]
  (tmp_path / "alone").mkdir()
  fit = Lab(tmp_path / "alone", seed=0, options=Options()).fit(
    "train", config, task, schedule=schedule
  )
  own = best.schedule[-1][0]  # intervals before its last copy are others' reports
  rows = [row for row in fit.history if "test/loss" in row][1:]
  for metric in ("test/loss", "test/accuracy"):
    assert [row[metric] for row in rows][own:] == pytest.approx(best.curve(metric)[own:], rel=1e-6)
  (tmp_path / "last").mkdir()
  constant = Lab(tmp_path / "last", seed=0, options=Options()).fit("train", config, task)
  assert constant.last("test/loss") != pytest.approx(fit.last("test/loss"), rel=1e-3)


def test_rounds_refine_the_space_and_record_their_decisions(tmp_path):
  result = swept(tmp_path, "learning_rate=log(1e-3,10)", trials=12, rounds=3)
  decisions = [row[3] for row in rows(tmp_path) if row[1] == "narrowed"]
  assert len(decisions) == 2 and all("learning_rate" in decision for decision in decisions)
  spread = lambda number: np.ptp(
    np.log([t.values["learning_rate"] for t in result.trials.values() if t.round == number])
  )
  assert spread(2) < 0.5 * spread(0)


@pytest.mark.parametrize(
  "changes, complaint",
  [
    ({"stopper": "pbt", "text": WITH_WIDTHS}, "which width does not allow"),
    ({"rounds": 9}, "more than there are trials"),
    ({"rounds": 2, "sampler": "grid"}, "has one round"),
    ({"objective": "test/acuracy"}, "test/accuracy"),
  ],
)
def test_invalid_settings_are_refused_before_anything_is_compiled(tmp_path, changes, complaint):
  with pytest.raises(UserError, match=complaint):
    swept(tmp_path, **changes)
  assert not (tmp_path / "study.sqlite").exists()


@pytest.mark.parametrize(
  "before, after",
  [
    ({"trials": 3}, {"trials": 2}),
    ({"trials": 2, "sampler": "grid"}, {"trials": 3, "sampler": "grid"}),
    ({"trials": 2, "stopper": "asha"}, {"trials": 3, "stopper": "asha"}),
    ({"trials": 2, "rounds": 2}, {"trials": 3, "rounds": 2}),
  ],
)
def test_another_search_is_refused_in_the_same_folder(tmp_path, before, after):
  swept(tmp_path, **before)
  with pytest.raises(UserError, match=f"trials={before['trials']}, not {after['trials']}"):
    swept(tmp_path, **after)


def by_trial(result):
  return [(t.number, t.values, t.status, t.reports) for _, t in sorted(result.trials.items())]


def test_a_study_that_grows_equals_one_that_began_with_all_trials(base, tmp_path):
  """Of a finished study, of one that was stopped half-way, and stopped again on the way on."""
  whole = by_trial(swept(base / "three", slots=3))
  finished = tmp_path / "finished"
  swept(finished, trials=2)
  assert chopped(finished, patience=(3,)) >= 1
  assert by_trial(swept(finished)) == whole
  kinds = [row[1] for row in rows(finished)]
  assert kinds.count("finished") == 7 and kinds.index("finished") < kinds.index("started", 2)
  half = tmp_path / "half"
  with pytest.raises(InterruptedRun):
    swept(half, trials=2, interruption=StopAfter(2))
  assert by_trial(swept(half)) == whole
