"""Runs and trials as MLflow's: with their own dates, settings and values."""

import json

import pytest

from research.errors import UserError
from research.lab.run_index import record
from research.reporting import mlflow_mirror
from research.sweep.study import Event, Study, read_report_times, read_times
from tests.fixtures.run_folders import SEARCHED, make_run

pytestmark = pytest.mark.fast


@pytest.fixture
def runs(tmp_path):
  """A finished run, one that was interrupted, and a sweep whose second trial was pruned."""
  make_run(tmp_path / "runs" / "a", rows=3)
  make_run(tmp_path / "runs" / "b", seed=1, rows=2, finished=False)
  sweep = make_run(tmp_path / "runs" / "s", seed=2, rows=2)
  held = json.loads((sweep / "config.json").read_text())
  held["config"] |= SEARCHED
  (sweep / "config.json").write_text(json.dumps(held))
  settings = {"trials": 2, "objective": "test/accuracy", "larger_is_better": True}
  study = Study(sweep / "study.sqlite", settings)
  for number, rate in enumerate((0.1, 0.01)):
    study.record([Event("started", number, {"values": {"rate": rate}, "round": 0})])
    study.record([Event("reported", number, {"test/accuracy": [0.3, 0.5]})])
    study.record([Event("reported", number, {"test/accuracy": [float("nan"), 0.5]})])
  study.record([Event("stopped", 1), Event("finished", 0)])
  study.close()
  return tmp_path / "runs"


def test_a_run_has_its_settings_and_each_value_the_time_at_which_it_was_measured(runs):
  found = mlflow_mirror._run(record(runs / "a"), runs)
  assert (found.name, found.status, found.began, found.ended) == ("a", "finished", 1e9, 1e9 + 6)
  assert found.settings == {"seed": 0, "rate": 0.1, "sizes": [100, 50], "epochs": 3}
  assert ("train/loss", 1.0, 1, 1e9 + 4) in found.values and len(found.values) == 6
  assert found.tags["claims"] == "1 pass"
  assert mlflow_mirror._run(record(runs / "b"), runs).status == "interrupted"


def test_a_pruned_trial_has_its_values_and_its_own_dates(runs):
  first, second = mlflow_mirror._trials(record(runs / "s"))
  path = runs / "s" / "study.sqlite"
  assert (first.status, second.status) == ("finished", "stopped")
  assert (second.began, second.ended) == read_times(path)[1]
  at = read_report_times(path)[1]
  assert len(at) == 2 and second.values == [("test/accuracy", pytest.approx(0.4), 1, at[0])]
  assert second.settings == {"rate": "0.01"}


def test_a_file_that_is_no_store_is_left_alone(runs, tmp_path):
  (tmp_path / "notes.txt").write_text("mine")
  with pytest.raises(UserError, match=r"notes.txt is no store of MLflow's; give another file"):
    mlflow_mirror.mirror(runs, tmp_path / "notes.txt")
  assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_store_holds_runs_and_their_trials(runs, tmp_path):
  pytest.importorskip("mlflow", reason="needs the extra mlflow")
  pytest.importorskip("alembic", reason="needs the extra mlflow")
  from mlflow.tracking import MlflowClient

  store = tmp_path / "mlflow.sqlite"
  store.write_bytes(b"SQLite format 3\0 of an older copy, which is replaced")
  assert mlflow_mirror.mirror(runs, store) == 3
  assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.sqlite", "runs"]
  client = MlflowClient(f"sqlite:///{store}")
  (group,) = (each for each in client.search_experiments() if each.name == "net")
  found = {
    run.data.tags["mlflow.runName"]: run for run in client.search_runs([group.experiment_id])
  }
  assert {name: run.info.status for name, run in found.items()} == {
    "a": "FINISHED", "b": "KILLED", "s": "FINISHED", "s, trial 0": "FINISHED", "s, trial 1": "KILLED",
  }  # fmt: skip
  assert found["a"].data.params["sizes"] == "[100, 50]"
  assert (found["a"].info.start_time, found["a"].info.end_time) == (10**12, 10**12 + 6000)
  history = client.get_metric_history(found["a"].info.run_id, "train/loss")
  assert [(each.step, each.timestamp) for each in history] == [
    (step, 10**12 + 2000 * (step + 1)) for step in range(3)
  ]
  pruned = found["s, trial 1"]
  assert pruned.data.metrics == {"test/accuracy": pytest.approx(0.4)}
  assert pruned.data.tags["mlflow.parentRunId"] == found["s"].info.run_id
