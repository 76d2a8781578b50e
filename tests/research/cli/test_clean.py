"""The verb `clean`: what it frees, and all that it leaves alone."""

import json
import os
import shutil

import pytest

import launch
from research.lab import old_checkpoints, run_folder, run_results
from research.lab.run_index import record
from tests.fixtures.run_folders import make_run
from tests.fixtures.tiny_experiment import everything_under

pytestmark = pytest.mark.fast


def _clean(*words):
  return launch.main(["launch.py", "clean", "--folder=.", "--older=0", *words])


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
  """A folder with a finished and an unfinished run, in which the commands are given."""
  monkeypatch.chdir(tmp_path)
  make_run(tmp_path / "done")
  make_run(tmp_path / "half", finished=False)
  return tmp_path


def test_only_checkpoints_of_finished_runs_go(runs, capsys):
  half = everything_under(runs / "half")
  kept = {path.name for path in (runs / "done").iterdir()} - {"checkpoints"}
  assert _clean("--yes") == 0
  assert "2 kB  done" in capsys.readouterr().out
  assert {path.name for path in (runs / "done").iterdir()} == kept
  assert everything_under(runs / "half") == half
  assert run_results.lost(runs / "done") == []  # what is gone on purpose is not lost
  assert _clean("--yes") == 0
  assert "nothing to free" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "is_freed"), [("y", True), ("", False), ("n", False)])
def test_it_asks(runs, monkeypatch, answer, is_freed):
  monkeypatch.setattr("builtins.input", lambda question: answer)
  assert _clean() == 0
  assert (runs / "done" / "checkpoints").exists() is not is_freed


def test_without_an_answer_nothing_goes(runs, monkeypatch, capsys):
  before = everything_under(runs)
  monkeypatch.setattr("sys.stdin", open(os.devnull))
  assert _clean() == 0
  assert everything_under(runs) == before and "--yes" in capsys.readouterr().out


def test_a_run_that_finished_lately_stays(runs):
  before = everything_under(runs)
  assert launch.main(["launch.py", "clean", "--folder=.", "--yes"]) == 0
  assert everything_under(runs) == before
  month = 31 * 86_400
  stamp = (runs / "done" / "claims.json").stat().st_mtime - month
  os.utime(runs / "done" / "claims.json", (stamp, stamp))
  assert launch.main(["launch.py", "clean", "--folder=.", "--yes"]) == 0
  assert not (runs / "done" / "checkpoints").exists()


def test_a_locked_run_stays(runs, capsys):
  held = [record(runs / "done")]
  lock = run_folder.Lock(runs / "done")
  try:
    assert _clean("--yes") == 0
    (found,) = old_checkpoints.removable(held, 1e12, keep_best=False)  # seen before it began
    with pytest.raises(run_folder.UserError, match="is in use"):
      old_checkpoints.free(found)
  finally:
    lock.release()
  assert len(list((runs / "done" / "checkpoints" / "train").iterdir())) == 2


def test_the_best_checkpoint_can_stay(runs):
  for step, score in ((10, 0.9), (20, 0.8)):
    folder = runs / "done" / "checkpoints" / "train" / str(step) / "metrics"
    folder.mkdir()
    (folder / "metrics").write_text(json.dumps({"score": score}))
  assert _clean("--yes", "--keep=best") == 0
  assert [path.name for path in (runs / "done/checkpoints/train").iterdir()] == ["10"]
  assert run_results.lost(runs / "done") == []
  assert "checkpoints/train" in json.loads((runs / "done" / "checksums.json").read_text())


def test_links_lead_nowhere(runs):
  outside = runs.parent / f"{runs.name}-outside"
  outside.mkdir()
  (outside / "weights").write_text("mine")
  (runs / "done" / "checkpoints" / "train" / "30").symlink_to(outside)
  linked = make_run(runs / "linked")
  shutil.rmtree(linked / "checkpoints")
  (linked / "checkpoints").symlink_to(outside)
  before = everything_under(outside)
  assert _clean("--yes") == 0
  assert everything_under(outside) == before
  assert (runs / "done" / "checkpoints" / "train" / "30").is_symlink()


def test_the_weights_that_an_unfinished_run_begins_with_stay(runs):
  config = json.loads((runs / "half" / "config.json").read_text())
  config["config"]["--init_from"] = str(runs / "done")
  (runs / "half" / "config.json").write_text(json.dumps(config))
  before = everything_under(runs)
  assert _clean("--yes") == 0
  assert everything_under(runs) == before


def test_what_a_killed_process_left_goes_too(runs, monkeypatch):
  def die(path):
    raise KeyboardInterrupt

  with monkeypatch.context() as dying:
    dying.setattr(shutil, "rmtree", die)
    with pytest.raises(KeyboardInterrupt):
      _clean("--yes")
  assert (runs / "done" / ".freed").exists() and run_results.lost(runs / "done") == []
  assert _clean("--yes") == 0
  assert not (runs / "done" / ".freed").exists()
