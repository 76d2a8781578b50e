"""Going on from another run: a fork, or its weights alone."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from research.store.metrics_log import read_rows
from tests.fixtures.stop_after import stop_after
from tests.fixtures.tiny_experiment import everything_under, refused


def test_fork_goes_on_from_the_checkpoint_with_other_settings(cli, monkeypatch):
  with monkeypatch.context() as patch:
    stop_after(patch, 5)
    assert cli("--workdir=source")[0] == 128 + signal.SIGTERM
  before = everything_under(Path("source"))
  fork = ("--workdir=forked", "--fork=source", "--learning_rate=0.1", "--steps=60")
  with monkeypatch.context() as patch:
    stop_after(patch, 2)
    code, _, err = cli(*fork)
  assert code == 128 + signal.SIGTERM and "resuming at step 25" in err
  code, _, err = cli(*fork)  # the same command again
  assert code == 0 and "resuming at step 40" in err
  assert everything_under(Path("source")) == before
  steps = [row["step"] for row in read_rows(Path("forked"))]
  assert steps == list(range(0, 61, 5))
  old, new = (Path(name, "metrics.jsonl").read_bytes() for name in ("source", "forked"))
  assert new.startswith(old) and json.loads(Path("forked/fork.json").read_text())["seed"] == 0
  assert cli("--workdir=straight", "--learning_rate=0.1", "--steps=60")[0] == 0
  assert read_rows(Path("straight"))[-1] != read_rows(Path("forked"))[-1]


def test_fork_refuses_what_cannot_be_forked(cli, monkeypatch):
  assert cli("--steps=10", "--workdir=source")[0] == 0
  assert cli("--steps=5", "--workdir=used")[0] == 0
  assert "used holds a run already" in refused(cli, "--fork=source", "--workdir=used")
  line = refused(cli, "--fork=source", "--workdir=source", "--fresh", "--steps=10")
  assert "--fork=source itself" in line
  line = refused(cli, "--fork=nowhere", "--workdir=used", "--fresh")  # and `used` stays there
  assert "--fork=nowhere" in line
  shutil.rmtree("used/checkpoints")
  assert "has no checkpoint" in refused(cli, "--fork=used", "--workdir=new")
  for change, words in (
    ("--width=6", "has shape (5, 3), and (6, 3) is needed"),
    ("--steps=5", "at step 10 already"),
  ):
    before = everything_under(Path("source"))
    code, _, err = cli("--fork=source", "--workdir=new", "--steps=30", change)
    assert code == 2 and err.count("\n") == 1 and words in err and "--fork" in err, err
    assert not Path("new").exists() and everything_under(Path("source")) == before
  assert cli("--fork=source", "--workdir=new", "--steps=30")[0] == 0


def taken_back(cli, *arguments, folder="new", **options):
  """The one line of a refusal that comes after the run's folder was made, and takes it back."""
  code, _, err = cli(f"--workdir={folder}", *arguments, **options)
  assert code == 2 and err.count("\n") == 1 and not Path(folder).exists(), err
  return err


def test_a_fork_that_would_train_nothing_is_refused(cli):
  assert cli("--steps=20", "--workdir=source")[0] == 0
  for change in ("--learning_rate=0.1", "--noise=0.2"):
    line = taken_back(cli, "--steps=20", change, "--fork=source")
    assert "nothing would be trained" in line and "--init_from" in line


def test_a_fork_from_which_no_fit_goes_on_is_refused(cli):
  assert cli("--steps=20", "--workdir=source")[0] == 0
  line = taken_back(cli, "--fork=source", experiment="tiny_race")
  assert "no fit 'first'" in line and "train" in line


@pytest.mark.parametrize("folder", ["source/checkpoints/inside", "source/inside", "."])
def test_a_fork_into_its_own_source_is_refused(cli, folder):
  assert cli("--steps=20", "--workdir=source")[0] == 0
  line = refused(cli, "--steps=30", "--fork=source", f"--workdir={folder}")
  assert "lie in one another" in line


def test_init_from_begins_with_the_weights_and_nothing_else(cli):
  assert cli("--steps=20", "--workdir=source")[0] == 0
  new = ("--workdir=new", "--init_from=source", "--steps=20", "--learning_rate=0")
  assert cli(*new)[0] == 0
  before, after = (
    [row["test/loss"] for row in read_rows(Path(name)) if "test/loss" in row]
    for name in ("source", "new")
  )
  assert len(after) == len(before) and set(after) == {after[0]} and after[0] in before[1:]
  assert "finished already" in cli(*new)[1]
  assert "belongs to another run" in refused(cli, "--workdir=new", *new[2:])
  line = taken_back(cli, "--init_from=source", "--width=6", folder="wide")
  assert "params/" in line and "same network" in line
  assert "no weights of a fit" in taken_back(cli, "--init_from=nowhere", folder="x")


def test_a_fork_that_was_killed_is_begun_again(cli, monkeypatch):
  assert cli("--steps=10", "--workdir=source")[0] == 0

  class Killed(BaseException):
    pass

  def killed(*arguments, **options):
    raise Killed

  for victim in ("shutil.copytree", "shutil.copy", "research.lab.run_folder.write_identity"):
    with monkeypatch.context() as patch:
      patch.setattr(victim, killed)
      with pytest.raises(Killed):
        cli("--steps=20", "--fork=source", "--workdir=forked")
  assert cli("--steps=20", "--fork=source", "--workdir=forked")[0] == 0
  assert [row["step"] for row in read_rows(Path("forked"))] == [0, 5, 10, 15, 20]
