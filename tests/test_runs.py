"""Coming back to a run: the same folder, a fresh one, a fork."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from research.errors import UserError
from research.lab import run_folder
from research.store.metrics_log import MetricsLog, read_rows
from tests.helpers import tiny_experiment
from tests.helpers.processes import outcome
from tests.helpers.tiny_experiment import everything_under, refused


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"experiment": "tiny_net"}', "\xff\xfe"])
def test_a_damaged_config_is_refused_and_fresh_is_the_way_out(cli, content):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  Path("run/config.json").write_text(content, encoding="latin-1")
  line = refused(cli, "--steps=5", "--workdir=run")
  assert "--workdir=run" in line and "config.json is damaged" in line and "--fresh" in line
  assert cli("--steps=5", "--workdir=run", "--fresh")[0] == 0
  assert Path("run.old-1/config.json").read_text(encoding="latin-1") == content


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


def stop_after(monkeypatch, rows, signal_number=signal.SIGTERM):
  """Sends this process a signal when so many rows are written."""
  append, seen = MetricsLog.append, []

  def append_and_stop(self, row, seconds):
    append(self, row, seconds)
    seen.append(row)
    if len(seen) == rows:
      os.kill(os.getpid(), signal_number)

  monkeypatch.setattr(MetricsLog, "append", append_and_stop)


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
  assert "no checkpoint yet" in refused(cli, "--fork=used", "--workdir=new")
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


@pytest.mark.parametrize("experiment", ["tiny_net", "tiny_race"])
def test_whatever_a_user_deletes_the_same_command_ends_equal(cli, experiment):
  assert cli("--workdir=expected", experiment=experiment)[0] == 0
  expected = outcome(Path("expected"))
  fits = [path.name for path in Path("expected/checkpoints").iterdir()]
  for lost in (
    "figures",
    "report.html",
    "claims.json",
    "events*",
    "timing.jsonl",
    "environment.json",
    "checkpoints",
    *(f"checkpoints/{fit}" for fit in fits),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    (Path("run") / "claims.json").unlink()
    for path in Path("run").glob(lost):
      shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, _, err = cli("--workdir=run", experiment=experiment)
    assert code == 0, (lost, err)
    assert outcome(Path("run")) == expected, lost
    shutil.rmtree("run")


@pytest.mark.parametrize("lost", ["figures", "report.html", "claims.json"])
def test_a_finished_run_that_lost_its_report_writes_it_again_without_training(
  cli, monkeypatch, lost
):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  path = Path("run", lost)
  expected = {p: p.read_bytes() for p in Path("run").rglob("*.json*") if "env" not in p.name}
  shutil.rmtree(path) if path.is_dir() else path.write_text("")
  if lost == "report.html":
    path.unlink()
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  assert cli("--steps=5", "--workdir=run")[0] == 0
  assert Path("run/figures/curve.png").exists() and Path("run/report.html").exists()
  assert {p: p.read_bytes() for p in expected} == expected


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


def test_edited_or_shortened_metrics_are_refused_by_name(cli, monkeypatch):
  with monkeypatch.context() as patch:
    stop_after(patch, 5)
    assert cli("--workdir=run")[0] == 128 + signal.SIGTERM
  path = Path("run/metrics.jsonl")
  whole = path.read_bytes()
  for content, words in (
    (whole[:-10], "shortened"),
    (b"", "shortened"),
    (whole.replace(b'"step": 5', b'"step": 6'), "changed"),
    (b"\xff" + whole, "changed"),
  ):
    path.write_bytes(content)
    code, _, err = cli("--workdir=run")
    assert code == 2 and "metrics.jsonl" in err and words in err and "--fresh" in err, err
    assert "Traceback" not in err and path.read_bytes() == content
  path.write_bytes(whole + b'{"fit": "train", "st')  # torn behind the checkpoint: no harm
  assert cli("--workdir=run")[0] == 0
  assert cli("--workdir=expected")[0] == 0
  assert outcome(Path("run")) == outcome(Path("expected"))


def test_what_a_finished_run_lost_or_has_changed_is_made_again_or_named(cli, monkeypatch):
  assert cli("--steps=5", "--workdir=expected")[0] == 0
  expected = {path.name: path.read_bytes() for path in Path("expected").glob("figures/*")}
  figure = Path("run/figures/curve.png")
  monkeypatch.setattr("research.lab.lab.run_fit", None)  # nothing is trained again
  for damage, word in (
    (figure.unlink, "figures/curve.png"),
    (lambda: figure.write_bytes(b"\x00" + figure.read_bytes()[1:]), "figures/curve.png"),
    (lambda: edit("run/claims.json", '"ours": ', '"ours": 1'), "claims.json"),
    (lambda: edit("run/report.html", "tiny_net", "tiny-net"), "report.html"),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    damage()
    code, out, err = cli("--steps=5", "--workdir=run")
    assert (code, err) == (0, "") and f"run: {word} lost or changed; made again" in out
    assert {path.name: path.read_bytes() for path in Path("run").glob("figures/*")} == expected
    assert Path("run/claims.json").read_bytes() == Path("expected/claims.json").read_bytes()
    assert "lost" not in cli("--steps=5", "--workdir=run")[1]
  for victim, word in (
    (Path("run/metrics.jsonl"), "metrics.jsonl"),
    (Path("run/checkpoints/train"), "checkpoints/train"),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    shutil.rmtree(victim) if victim.is_dir() else victim.write_text("")
    code, out, _ = cli("--steps=5", "--workdir=run")
    assert code == 0 and f"but without {word}, which are lost or changed; --fresh" in out
  shutil.copytree("expected", "run", dirs_exist_ok=True)
  edit("run/metrics.jsonl", '"step": 5', '"step": 6')
  figure.unlink()  # nothing is drawn from rows that are not those of the checkpoint
  code, _, err = cli("--steps=5", "--workdir=run")
  assert code == 2 and "metrics.jsonl was changed" in err and "--fresh" in err


def edit(path, old, new):
  text = Path(path).read_text("utf-8")
  assert old in text
  Path(path).write_text(text.replace(old, new), "utf-8")


def test_equal_runs_have_equal_checksums(cli, monkeypatch, tmp_path):
  for folder in ("one", "two"):
    Path(folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    assert cli("--steps=5", "--workdir=run")[0] == 0
    monkeypatch.chdir(tmp_path)
  assert Path("one/run/checksums.json").read_text() == Path("two/run/checksums.json").read_text()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "\xff\xfe"])
def test_a_damaged_environment_counts_as_another_version(cli, content):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  path = Path("run/environment.json")
  path.unlink() if content is None else path.write_text(content, encoding="latin-1")
  code, out, err = cli("--steps=5", "--workdir=run")
  assert (code, err) == (0, "") and "by another version of the code" in out


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
