"""Trials as Optuna's, without a run around them."""

import datetime
import types

import pytest

from research.reporting import optuna_mirror
from research.sweep.study import Event, Study, fold, read_times

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.fast


def test_a_pruned_trial_has_its_last_value_and_its_own_dates(tmp_path):
  study = Study(tmp_path / "study.sqlite", {"trials": 2})
  started = [Event("started", n, {"values": {"rate": 0.1}, "round": 0}) for n in range(2)]
  reports = [Event("reported", 0, {"test/accuracy": [value]}) for value in (0.3, 0.6, float("nan"))]
  study.record([*started, *reports])
  study.record([Event("stopped", 0)])
  count = study.count
  study.record([Event("finished", 1)])
  study.undo(count)
  events = study.events()
  study.close()

  times = read_times(tmp_path / "study.sqlite")
  assert set(times) == {0, 1} and times[0][0] < times[0][1] and times[1][0] == times[1][1]
  trial = fold({}, events)[0]
  plan = types.SimpleNamespace(
    space=types.SimpleNamespace(distributions={"rate": None}),
    settings=types.SimpleNamespace(objective="test/accuracy"),
  )
  kinds = {"rate": optuna.distributions.FloatDistribution(0.0, 1.0)}
  found = optuna_mirror._trial(optuna, plan, trial, kinds, times[0])
  assert found.state == optuna.trial.TrialState.PRUNED and found.value == 0.6
  assert found.datetime_start == datetime.datetime.fromtimestamp(times[0][0])
  assert found.datetime_complete == datetime.datetime.fromtimestamp(times[0][1])


def test_a_study_of_before_has_no_times(tmp_path):
  study = Study(tmp_path / "study.sqlite", {"trials": 1})
  study.record([Event("started", 0, {"values": {}, "round": 0})])
  study._connection.execute("DROP TABLE times")
  study.close()
  assert read_times(tmp_path / "study.sqlite") == {}
