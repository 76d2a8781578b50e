"""Coming back to a run: the same folder, a fresh one; what a refusal leaves behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from research.errors import UserError
from research.lab import run_folder
from tests.fixtures import tiny_experiment
from tests.fixtures.processes import outcome
from tests.fixtures.tiny_experiment import refused


def test_a_resume_with_other_settings_shows_the_difference(cli):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  line = refused(cli, "--steps=5", "--workdir=run", "--seed=7", "--learning_rate=0.25")
  assert "seed: there 0, here 7, learning_rate: there 0.5, here 0.25" in line
  assert "--fresh" in line and "--fork=run" in line
  line = refused(cli, "--steps=5", "--workdir=run", experiment="tiny_race")
  assert "experiment tiny_net, not tiny_race" in line
  line = refused(cli, "--workdir=run", "--evaluate", experiment="tiny_race")
  assert "tiny_net, not of tiny_race" in line


def test_the_second_process_on_a_folder_is_refused_and_told_of_the_first(cli):
  lock = run_folder.Lock(Path("run"))
  for others in ((), ("--fresh",)):
    line = refused(cli, "--steps=5", "--workdir=run", *others) if not others else ""
    if others:
      (Path("run") / "config.json").write_text("{}")
      line = refused(cli, "--steps=5", "--workdir=run", *others)
      (Path("run") / "config.json").unlink()
    assert f"--workdir=run is in use by process {os.getpid()} on " in line
  lock.release()
  assert cli("--steps=5", "--workdir=run")[0] == 0


def test_the_lock_of_a_dead_process_does_not_block(cli):
  program = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('held', flush=True); time.sleep(60)"
  Path("run").mkdir()
  owner = subprocess.Popen(
    [sys.executable, "-c", program, "run/.lock"], stdout=subprocess.PIPE, text=True
  )
  assert owner.stdout.readline() == "held\n"
  assert "in use by another process" in refused(cli, "--steps=5", "--workdir=run")
  owner.kill()
  owner.communicate()
  Path("run/.lock").write_text("process 1 on elsewhere")
  assert cli("--steps=5", "--workdir=run")[0] == 0


def test_fresh_keeps_every_old_run(cli):
  command = ("--steps=5", "--workdir=run")
  assert cli(*command, "--fresh")[0] == 0
  assert not list(Path().glob("run.old-*"))  # there was nothing to keep
  marks = []
  for number in (1, 2):
    marks.append(Path("run/config.json").stat().st_ino)
    code, out, _ = cli(*command, "--fresh", f"--seed={number}")
    assert code == 0 and f"kept in run.old-{number}" in out
    assert Path(f"run.old-{number}/config.json").stat().st_ino == marks[-1]
    assert (Path(f"run.old-{number}") / "claims.json").exists()
  assert run_folder.read_identity(Path("run")).seed == 2


def test_fresh_does_not_pull_the_ground_from_under_the_shell(cli, monkeypatch):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  monkeypatch.chdir("run")
  assert "while you are in it" in refused(cli, "--steps=5", "--workdir=.", "--fresh")


def test_relative_absolute_and_strange_folders_are_the_same_to_a_run(cli, tmp_path, monkeypatch):
  expected = None
  for folder in ("run", str(tmp_path / "absolute"), "with spaces & ünïcödé 图", "deep/er/run"):
    assert cli("--steps=20", f"--workdir={folder}", "--save_seconds=0")[0] == 0
    expected = expected or outcome(Path(folder))
    assert outcome(Path(folder)) == expected
    assert cli("--steps=20", f"--workdir={folder}", "--evaluate")[0] == 0
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  assert cli("--steps=5", "--workdir=~/run")[0] == 0
  assert (tmp_path / "home/run/claims.json").exists() and not Path("~").exists()
  monkeypatch.chdir(tmp_path / "run")
  assert "finished already" in cli("--steps=20", "--workdir=.")[1]


def test_a_run_that_its_experiment_refuses_leaves_nothing_behind(cli, monkeypatch):
  def refuse(config, seed):
    raise UserError("no such game; did you mean chess?")

  with monkeypatch.context() as patched:
    tiny_experiment.change_net(patched, training=refuse)
    for _ in range(2):
      code, _, err = cli("--width=3", "--workdir=run")
      assert code == 2 and err.endswith("launch.py: no such game; did you mean chess?\n")
      assert not Path("run").exists()
    Path("run").mkdir()  # the user's own
    assert cli("--width=3", "--workdir=run")[0] == 2 and Path("run").exists()
  shutil.rmtree("run")
  assert cli("--steps=5", "--workdir=run")[0] == 0
  tiny_experiment.change_net(monkeypatch, report=refuse_report)
  shutil.rmtree("run/figures")
  assert cli("--steps=5", "--workdir=run")[0] == 2 and Path("run/metrics.jsonl").exists()


def refuse_report(config, fit):
  raise UserError("no report")


SWEEP = ("--sweep=learning_rate=log(0.01,1)", "--trials=2", "--steps=10")


@pytest.mark.parametrize(
  "wrong", ["--objective=test/acc", "--seeds=100000000", "--sampler=tpe", "--engine=ray"]
)
def test_a_refused_sweep_leaves_nothing_so_that_its_correction_runs(cli, monkeypatch, wrong):
  for missing in ("optuna", "ray"):
    monkeypatch.setitem(sys.modules, missing, None)
  for folder in ((), ("--workdir=deep/run",)):
    code, _, err = cli(*SWEEP, *folder, wrong)
    assert code == 2 and err.startswith("launch.py: ") and err.count("\n") == 1, err
    assert list(Path().iterdir()) == []


def test_what_fresh_put_aside_comes_back_when_the_new_run_is_refused(cli):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  assert cli(*SWEEP, "--workdir=run", "--fresh", "--objective=test/acc")[0] == 2
  assert [path.name for path in Path().iterdir()] == ["run"]
  assert "finished already" in cli("--steps=5", "--workdir=run")[1]


def test_sizes_beyond_the_memory_are_refused_before_anything_is_made(cli):
  for size in ("--width=2147483647", "--width=1000000000"):
    code, _, err = cli(size, "--workdir=run")
    assert code == 2 and err.count("\n") == 1 and "GB" in err and "are free" in err
    assert not Path("run").exists()


def test_memory_that_runs_out_at_the_first_step_is_one_line(cli, monkeypatch):
  def too_large(*arguments, **options):
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

  monkeypatch.setattr("research.lab.lab.run_fit", too_large)
  code, _, err = cli("--workdir=run")
  assert code == 2 and err.count("\n") == 1 and "9 bytes" in err and not Path("run").exists()


def test_a_folder_in_the_place_of_a_file_is_named(cli):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  for name in ("figures/captions.json", "report.html", "claims.json"):
    Path("run", name).unlink()
    Path("run", name).mkdir()
    code, _, err = cli("--steps=5", "--workdir=run")
    assert code == 2 and err.count("\n") == 1 and f"run/{name}: Is a directory" in err
    Path("run", name).rmdir()
