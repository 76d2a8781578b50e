"""Sweeps whose trials train elsewhere: their studies are those of the local engine, row by row."""

import os

import pytest

from research.errors import InterruptedRun, UserError
from research.lab.lab import Lab
from research.sweep import remote
from research.sweep import space as spaces
from research.sweep.blocks import train
from research.training import Options
from tests.fixtures import tiny_experiment
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import DEATH, Config, mortal_training
from tests.fixtures.tiny_sweep import SETTINGS, SPACE, WITH_WIDTHS, rows


def swept(
  folder,
  engine,
  text=SPACE,
  *,
  training=tiny_experiment.training,
  interruption=None,
  workers=2,
  **changes,
):
  folder.mkdir(exist_ok=True)
  lab = Lab(
    folder,
    seed=0,
    options=Options(engine=engine, workers=workers, save_seconds=1e9),
    interruption=interruption,
  )
  space = spaces.parse(text, Config())
  return lab.sweep("study", space, training, SETTINGS._replace(**changes))


@pytest.fixture
def trained(monkeypatch):
  """The engine "ray" trains here, one block after the other; the blocks are counted."""
  blocks = []

  def engine(some):
    for block in some:
      train(block)
      blocks.append(block)

  monkeypatch.setitem(remote.ENGINES, "ray", lambda options, folder: engine)
  return blocks


@pytest.mark.parametrize(
  "changes",
  [
    {},
    pytest.param({"stopper": "asha", "trials": 9}, marks=pytest.mark.slow),
    pytest.param({"stopper": "hyperband", "trials": 9}, marks=pytest.mark.slow),
    pytest.param({"stopper": "median", "trials": 9}, marks=pytest.mark.slow),
    {"stopper": "pbt"},
    {"text": WITH_WIDTHS},
    pytest.param({"text": f"{SPACE}; seeds(2)", "slots": 4}, marks=pytest.mark.slow),
  ],
  ids=str,
)
def test_a_remote_sweep_records_the_rows_of_a_local_one(tmp_path, trained, changes):
  swept(tmp_path / "local", "local", **changes)
  swept(tmp_path / "remote", "ray", **changes)
  assert rows(tmp_path / "remote") == rows(tmp_path / "local")
  assert trained


def test_the_number_of_workers_changes_no_row(tmp_path, trained):
  swept(tmp_path / "one", "ray", workers=1, stopper="asha", trials=9)
  alone = len(trained)
  swept(tmp_path / "four", "ray", workers=4, stopper="asha", trials=9)
  assert rows(tmp_path / "one") == rows(tmp_path / "four")
  assert len(trained) - alone > alone


def test_a_coordinator_that_was_stopped_trains_no_block_twice(tmp_path, trained):
  with pytest.raises(InterruptedRun):
    swept(tmp_path / "remote", "ray", stopper="asha", trials=9, interruption=StopAfter(4))
  before = len(trained)
  swept(tmp_path / "remote", "ray", stopper="asha", trials=9)
  assert before and len({block.segments[0].path for block in trained}) == len(trained)
  swept(tmp_path / "local", "local", stopper="asha", trials=9)
  assert rows(tmp_path / "remote") == rows(tmp_path / "local")


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_is_refused_in_one_line(tmp_path, monkeypatch, engine, package):
  monkeypatch.setitem(__import__("sys").modules, package, None)
  with pytest.raises(UserError, match=r"\.\[cluster\]"):
    swept(tmp_path, engine)


@pytest.mark.parametrize("slurm", ["timeout_min", "colour=blue"])
def test_a_parameter_that_slurm_lacks_is_refused_in_one_line(tmp_path, slurm):
  pytest.importorskip("submitit")
  lab = Lab(tmp_path, seed=0, options=Options(engine="slurm", slurm=slurm))
  with pytest.raises(UserError, match=f"--slurm={slurm}"):
    lab.sweep("study", spaces.parse(SPACE, Config()), tiny_experiment.training, SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_killed_worker_changes_no_row(tmp_path, monkeypatch, engine, package):
  pytest.importorskip(package)
  mark = tmp_path / "died"
  monkeypatch.setenv(DEATH, f"{mark}:{os.getpid()}")
  swept(tmp_path / "local", "local", training=mortal_training, stopper="asha", trials=9)
  assert not mark.exists()
  swept(tmp_path / "far", engine, training=mortal_training, stopper="asha", trials=9)
  assert mark.exists()
  assert rows(tmp_path / "far") == rows(tmp_path / "local")
