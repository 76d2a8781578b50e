"""What the door refuses, and what it does for those who come back."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import launch
from research.errors import UserError
from research.lab import run_folder, running
from research.lab.metrics_log import MetricsLog, read_rows
from tests import tiny_experiment
from tests.processes import ROOT, environment, outcome
from tests.tiny_experiment import everything_under, launched


@pytest.fixture
def door(monkeypatch, tmp_path, capfd):
  """Launches a tiny experiment in a folder of its own."""
  tiny_experiment.install(
    monkeypatch, tmp_path, tiny_net=tiny_experiment.ONE, tiny_race=tiny_experiment.SEVERAL
  )
  return lambda *arguments, **options: launched(capfd, *arguments, **options)


def refused(door, *arguments, code=2, **options):
  """The one line with which the arguments are refused, without a trace on the disk."""
  before = everything_under(Path.cwd())
  answer, out, err = door(*arguments, **options)
  assert answer == code, (out, err)
  assert everything_under(Path.cwd()) == before
  assert out == ""
  assert err.startswith("launch.py: ") and err.count("\n") == 1 and err.endswith("\n"), err
  return err


BAD_INPUT = {
  "--width=abc": ["--width=abc", "'abc' is not a number", "a whole number of at least 1"],
  "--width=2.5": ["--width=2.5", "not a whole number", "at least 1"],
  "--width=0": ["--width=0", "too small", "at least 1"],
  "--width=-3": ["--width=-3", "too small", "at least 1"],
  "--learning_rate=nan": ["--learning_rate=nan", "not finite", "at least 0"],
  "--learning_rate=inf": ["--learning_rate=inf", "not finite", "at least 0"],
  "--learning_rate=-1": ["--learning_rate=-1", "too small", "at least 0"],
  "--learning_rate=quick": ["--learning_rate=quick", "not a number", "at least 0"],
  "--noise=1.5": ["--noise=1.5", "too large", "at most 1"],
  "--kind=other": ["--kind=other", "plain, fancy"],
  "--seed=abc": ["--seed=abc", "not a whole number"],
  "--seed=1.5": ["--seed=1.5", "not a whole number"],
  "--seed=-1": ["--seed=-1", "in the range [0, 4294967295]"],
  "--seed=99999999999999999999": ["--seed=99999999999999999999", "4294967295"],
  "--seed": ["--seed", "Missing value"],
  "--save_seconds=nan": ["--save_seconds=nan", "finite number of at least 0"],
  "--save_seconds=inf": ["--save_seconds=inf", "finite number of at least 0"],
  "--save_seconds=-1": ["--save_seconds=-1", "non-negative"],
  "--save_seconds=soon": ["--save_seconds=soon", "not a number"],
  "--dispatch=-1": ["--dispatch=-1", "non-negative"],
  "--parallel=magic": ["--parallel=magic", "jit|shard|pmap"],
  "--on_nan=pray": ["--on_nan=pray", "stop|continue"],
  "--fresh=maybe": ["--fresh=maybe", "neither true nor false"],
  "--learning_rat=1": ["'--learning_rat'", "did you mean --learning_rate"],
  "--sed=1": ["'--sed'", "--seed", "--help shows"],
  "--zzzzzz=1": ["'--zzzzzz'", "--help shows them all"],
  "stray": ["'stray'", "--name=value"],
  "--data_dir=nowhere": ["--data_dir=nowhere", "not a folder"],
  "--flagfile=nowhere": ["--flagfile=nowhere", "No such file"],
  "--fork=nowhere": ["--fork=nowhere", "no run"],
  "--workdir=nowhere --evaluate": ["--workdir=nowhere", "no run"],
  "--evaluate --fresh": ["--fresh", "--evaluate"],
  "--verify --workdir=x": ["--workdir", "--verify"],
  "--verify --width=3": ["'--width'", "default settings"],
}


@pytest.mark.parametrize("flag", BAD_INPUT)
def test_bad_input_is_one_line_with_name_value_and_what_is_allowed(door, monkeypatch, flag):
  monkeypatch.setattr(tiny_experiment.ONE, "training", None)  # nothing may come so far
  line = refused(door, *flag.split())
  assert [words for words in BAD_INPUT[flag] if words not in line] == [], line


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("simple_convet", ["'simple_convet'", "did you mean simple_convnet", "--list"]),
    ("zzzzzzzz", ["'zzzzzzzz'", "--list shows them all"]),
    ("", ["''", "--list"]),
    ("convolution", ["family", "simple_convnet", "--verify"]),
    ("all", ["simple_convnet", "--verify"]),
  ],
)
def test_an_unknown_experiment_or_a_family_is_refused_with_names(door, name, words):
  line = refused(door, experiment=name)
  assert [word for word in words if word not in line] == [], line


def test_a_value_may_follow_its_flag_after_a_space(door):
  command = ("--steps", "5", "--experiment", "tiny_net", "--seed", "3", "--workdir", "run")
  assert door(*command, experiment=None)[0] == 0
  found = run_folder.read_identity(Path("run"))
  assert (found.config["steps"], found.seed) == (5, 3)


def test_a_flagfile_is_read_and_a_bad_flag_in_it_refused(door):
  Path("good.flags").write_text("--experiment=tiny_net\n--steps=5\n# a comment\n--workdir=run\n")
  assert door("--flagfile=good.flags", experiment=None)[0] == 0
  assert run_folder.read_identity(Path("run")).config["steps"] == 5
  Path("bad.flags").write_text("--experiment=tiny_net\n--steps=0\n")
  assert "--steps=0" in refused(door, "--flagfile=bad.flags", experiment=None)
  Path("worse.flags").write_text("--experiment=tiny_net\n--stepz=5\n")
  assert "did you mean --steps" in refused(door, "--flagfile=worse.flags", experiment=None)


def test_a_workdir_that_cannot_hold_the_run_is_refused(door, monkeypatch):
  Path("file").write_text("mine")
  Path("foreign").mkdir()
  Path("foreign/thesis.tex").write_text("mine")
  Path("hidden").mkdir()
  Path("hidden/.bashrc").write_text("mine")
  for folder, words in {
    "file": "is a file",
    "file/run": "lies under one",
    "foreign": "holds other files",
    "hidden": "holds other files",
  }.items():
    for others in ((), ("--fresh",)):
      line = refused(door, f"--workdir={folder}", *others)
      assert f"--workdir={folder} " in line and words in line, line

  def forbidden(*arguments, **options):
    raise PermissionError(errno.EACCES, "Permission denied")

  def read_only(*arguments, **options):
    raise OSError(errno.EROFS, "Read-only file system")

  with monkeypatch.context() as patch:
    patch.setattr(Path, "iterdir", forbidden)
    patch.setattr("tests.test_launch.everything_under", lambda folder: {})
    assert "--workdir=new cannot be read: Permission denied" in refused(door, "--workdir=new")
  with monkeypatch.context() as patch:
    patch.setattr(Path, "mkdir", read_only)
    assert "--workdir=new cannot be written: Read-only" in refused(door, "--workdir=new")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"experiment": "tiny_net"}', "\xff\xfe"])
def test_a_damaged_config_is_refused_and_fresh_is_the_way_out(door, content):
  assert door("--steps=5", "--workdir=run")[0] == 0
  Path("run/config.json").write_text(content, encoding="latin-1")
  line = refused(door, "--steps=5", "--workdir=run")
  assert "--workdir=run" in line and "config.json is damaged" in line and "--fresh" in line
  assert door("--steps=5", "--workdir=run", "--fresh")[0] == 0
  assert Path("run.old-1/config.json").read_text(encoding="latin-1") == content


def test_a_resume_with_other_settings_shows_the_difference(door):
  assert door("--steps=5", "--workdir=run")[0] == 0
  line = refused(door, "--steps=5", "--workdir=run", "--seed=7", "--learning_rate=0.25")
  assert "seed: there 0, here 7, learning_rate: there 0.5, here 0.25" in line
  assert "--fresh" in line and "--fork=run" in line
  line = refused(door, "--steps=5", "--workdir=run", experiment="tiny_race")
  assert "experiment tiny_net, not tiny_race" in line
  line = refused(door, "--workdir=run", "--evaluate", experiment="tiny_race")
  assert "tiny_net, not of tiny_race" in line


def test_the_second_process_on_a_folder_is_refused_and_told_of_the_first(door):
  lock = run_folder.Lock(Path("run"))
  for others in ((), ("--fresh",)):
    line = refused(door, "--steps=5", "--workdir=run", *others) if not others else ""
    if others:
      (Path("run") / "config.json").write_text("{}")
      line = refused(door, "--steps=5", "--workdir=run", *others)
      (Path("run") / "config.json").unlink()
    assert f"--workdir=run is in use by process {os.getpid()} on " in line
  lock.release()
  assert door("--steps=5", "--workdir=run")[0] == 0


def test_the_lock_of_a_dead_process_does_not_block(door):
  program = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('held', flush=True); time.sleep(60)"
  Path("run").mkdir()
  owner = subprocess.Popen(
    [sys.executable, "-c", program, "run/.lock"], stdout=subprocess.PIPE, text=True
  )
  assert owner.stdout.readline() == "held\n"
  assert "in use by another process" in refused(door, "--steps=5", "--workdir=run")
  owner.kill()
  owner.communicate()
  Path("run/.lock").write_text("process 1 on elsewhere")
  assert door("--steps=5", "--workdir=run")[0] == 0


def test_fresh_keeps_every_old_run(door):
  command = ("--steps=5", "--workdir=run")
  assert door(*command, "--fresh")[0] == 0
  assert not list(Path().glob("run.old-*"))  # there was nothing to keep
  marks = []
  for number in (1, 2):
    marks.append(Path("run/config.json").stat().st_ino)
    code, out, _ = door(*command, "--fresh", f"--seed={number}")
    assert code == 0 and f"kept in run.old-{number}" in out
    assert Path(f"run.old-{number}/config.json").stat().st_ino == marks[-1]
    assert (Path(f"run.old-{number}") / "claims.json").exists()
  assert run_folder.read_identity(Path("run")).seed == 2


def test_fresh_does_not_pull_the_ground_from_under_the_shell(door, monkeypatch):
  assert door("--steps=5", "--workdir=run")[0] == 0
  monkeypatch.chdir("run")
  assert "while you are in it" in refused(door, "--steps=5", "--workdir=.", "--fresh")


def test_relative_absolute_and_strange_folders_are_the_same_to_a_run(door, tmp_path, monkeypatch):
  expected = None
  for folder in ("run", str(tmp_path / "absolute"), "with spaces & ünïcödé 图", "deep/er/run"):
    assert door("--steps=20", f"--workdir={folder}", "--save_seconds=0")[0] == 0
    expected = expected or outcome(Path(folder))
    assert outcome(Path(folder)) == expected
    assert door("--steps=20", f"--workdir={folder}", "--evaluate")[0] == 0
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  assert door("--steps=5", "--workdir=~/run")[0] == 0
  assert (tmp_path / "home/run/claims.json").exists() and not Path("~").exists()
  monkeypatch.chdir(tmp_path / "run")
  assert "finished already" in door("--steps=20", "--workdir=.")[1]


def stop_after(monkeypatch, rows, signal_number=signal.SIGTERM):
  """Sends this process a signal when so many rows are written."""
  append, seen = MetricsLog.append, []

  def append_and_stop(self, row, seconds):
    append(self, row, seconds)
    seen.append(row)
    if len(seen) == rows:
      os.kill(os.getpid(), signal_number)

  monkeypatch.setattr(MetricsLog, "append", append_and_stop)


def test_fork_goes_on_from_the_checkpoint_with_other_settings(door, monkeypatch):
  with monkeypatch.context() as patch:
    stop_after(patch, 5)
    assert door("--workdir=source")[0] == 128 + signal.SIGTERM
  before = everything_under(Path("source"))
  fork = ("--workdir=forked", "--fork=source", "--learning_rate=0.1", "--steps=60")
  with monkeypatch.context() as patch:
    stop_after(patch, 2)
    code, _, err = door(*fork)
  assert code == 128 + signal.SIGTERM and "resuming at step 25" in err
  code, _, err = door(*fork)  # the same command again
  assert code == 0 and "resuming at step 40" in err
  assert everything_under(Path("source")) == before
  steps = [row["step"] for row in read_rows(Path("forked"))]
  assert steps == list(range(0, 61, 5))
  old, new = (Path(name, "metrics.jsonl").read_bytes() for name in ("source", "forked"))
  assert new.startswith(old) and json.loads(Path("forked/fork.json").read_text())["seed"] == 0
  assert door("--workdir=straight", "--learning_rate=0.1", "--steps=60")[0] == 0
  assert read_rows(Path("straight"))[-1] != read_rows(Path("forked"))[-1]


def test_fork_refuses_what_cannot_be_forked(door, monkeypatch):
  assert door("--steps=10", "--workdir=source")[0] == 0
  assert door("--steps=5", "--workdir=used")[0] == 0
  assert "used holds a run already" in refused(door, "--fork=source", "--workdir=used")
  line = refused(door, "--fork=source", "--workdir=source", "--fresh", "--steps=10")
  assert "--fork=source itself" in line
  line = refused(door, "--fork=nowhere", "--workdir=used", "--fresh")  # and `used` stays there
  assert "--fork=nowhere" in line
  shutil.rmtree("used/checkpoints")
  assert "no checkpoint yet" in refused(door, "--fork=used", "--workdir=new")
  for change, words in (
    ("--width=6", "has shape (5, 3), and (6, 3) is needed"),
    ("--steps=5", "at step 10 already"),
  ):
    before = everything_under(Path("source"))
    code, _, err = door("--fork=source", "--workdir=new", "--steps=30", change)
    assert code == 2 and err.count("\n") == 1 and words in err and "--fork" in err, err
    assert not Path("new").exists() and everything_under(Path("source")) == before
  assert door("--fork=source", "--workdir=new", "--steps=30")[0] == 0


def test_a_fork_that_was_killed_is_begun_again(door, monkeypatch):
  assert door("--steps=10", "--workdir=source")[0] == 0

  class Killed(BaseException):
    pass

  def killed(*arguments, **options):
    raise Killed

  for victim in ("shutil.copytree", "shutil.copy", "research.lab.run_folder.write_identity"):
    with monkeypatch.context() as patch:
      patch.setattr(victim, killed)
      with pytest.raises(Killed):
        door("--steps=20", "--fork=source", "--workdir=forked")
  assert door("--steps=20", "--fork=source", "--workdir=forked")[0] == 0
  assert [row["step"] for row in read_rows(Path("forked"))] == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("experiment", ["tiny_net", "tiny_race"])
def test_whatever_a_user_deletes_the_same_command_ends_equal(door, experiment):
  assert door("--workdir=expected", experiment=experiment)[0] == 0
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
    code, _, err = door("--workdir=run", experiment=experiment)
    assert code == 0, (lost, err)
    assert outcome(Path("run")) == expected, lost
    shutil.rmtree("run")


@pytest.mark.parametrize("lost", ["figures", "report.html", "claims.json"])
def test_a_finished_run_that_lost_its_report_writes_it_again_without_training(
  door, monkeypatch, lost
):
  assert door("--steps=5", "--workdir=run")[0] == 0
  path = Path("run", lost)
  expected = {p: p.read_bytes() for p in Path("run").rglob("*.json*") if "env" not in p.name}
  shutil.rmtree(path) if path.is_dir() else path.write_text("")
  if lost == "report.html":
    path.unlink()
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  assert door("--steps=5", "--workdir=run")[0] == 0
  assert Path("run/figures/curve.png").exists() and Path("run/report.html").exists()
  assert {p: p.read_bytes() for p in expected} == expected


def test_a_run_that_its_experiment_refuses_leaves_nothing_behind(door, monkeypatch):
  def refuse(config):
    raise UserError("no such game; did you mean chess?")

  with monkeypatch.context() as patched:
    patched.setattr(tiny_experiment.ONE, "training", refuse)
    for _ in range(2):
      code, _, err = door("--width=3", "--workdir=run")
      assert code == 2 and err.endswith("launch.py: no such game; did you mean chess?\n")
      assert not Path("run").exists()
    Path("run").mkdir()  # the user's own
    assert door("--width=3", "--workdir=run")[0] == 2 and Path("run").exists()
  shutil.rmtree("run")
  assert door("--steps=5", "--workdir=run")[0] == 0
  monkeypatch.setattr(tiny_experiment.ONE, "report", refuse_report)
  shutil.rmtree("run/figures")
  assert door("--steps=5", "--workdir=run")[0] == 2 and Path("run/metrics.jsonl").exists()


def refuse_report(config, fit):
  raise UserError("no report")


def test_edited_or_shortened_metrics_are_refused_by_name(door, monkeypatch):
  with monkeypatch.context() as patch:
    stop_after(patch, 5)
    assert door("--workdir=run")[0] == 128 + signal.SIGTERM
  path = Path("run/metrics.jsonl")
  whole = path.read_bytes()
  for content, words in (
    (whole[:-10], "shortened"),
    (b"", "shortened"),
    (whole.replace(b'"step": 5', b'"step": 6'), "changed"),
    (b"\xff" + whole, "changed"),
  ):
    path.write_bytes(content)
    code, _, err = door("--workdir=run")
    assert code == 2 and "metrics.jsonl" in err and words in err and "--fresh" in err, err
    assert "Traceback" not in err and path.read_bytes() == content
  path.write_bytes(whole + b'{"fit": "train", "st')  # torn behind the checkpoint: no harm
  assert door("--workdir=run")[0] == 0
  assert door("--workdir=expected")[0] == 0
  assert outcome(Path("run")) == outcome(Path("expected"))


def test_ctrl_c_before_anything_runs_is_one_line(door, monkeypatch):
  def interrupted(entry):
    raise KeyboardInterrupt

  monkeypatch.setattr("research.lab.catalogue.load", interrupted)
  code, _, err = door("--workdir=run")
  assert code == 130 and err.strip().count("\n") == 0 and "interrupted" in err
  assert not Path("run").exists()


def test_ctrl_c_while_data_are_loaded_leaves_before_the_first_chunk(door, monkeypatch):
  def slow_training(config):
    os.kill(os.getpid(), signal.SIGINT)
    return tiny_experiment.training(config)

  monkeypatch.setattr(tiny_experiment.ONE, "training", slow_training)
  code, _, err = door("--workdir=run")
  assert code == 130 and "before fit 'train'" in err and "same command" in err
  monkeypatch.undo()


def test_what_an_experiment_lacks_is_named(door, monkeypatch):
  monkeypatch.setitem(sys.modules, "experiments.tiny.tiny_net", SimpleNamespace(Config=None))
  assert "no training and no report" in refused(door)


def test_help_shows_the_flags_of_the_experiment(door):
  code, out, err = door("--help")
  assert (code, err) == (0, "")
  for words in ("A tiny net.", "--width", "a whole number of at least 1", "default: '5'", "--seed"):
    assert words in out, words
  code, out, _ = door("--help", experiment=None)
  assert code == 0 and "--experiment" in out and "--width" not in out
  assert list(Path.cwd().iterdir()) == []


def test_list_takes_less_than_a_second_and_imports_no_jax():
  program = (
    "import sys; sys.argv = ['launch.py', '--list']; import launch; code = launch.main(sys.argv);"
    "print([n for n in ('jax', 'numpy', 'flax', 'orbax', 'matplotlib') if n in sys.modules], code)"
  )
  before = time.monotonic()
  done = subprocess.run(
    [sys.executable, "-c", program],
    check=False,
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=environment(),
  )
  assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
  assert "simple_convnet" in done.stdout
  assert time.monotonic() - before < 3  # 0.15 s on a quiet machine


@pytest.mark.parametrize(
  ("arguments", "code"), [(("--help", "--experiment=digits_convnet"), 0), (("--epochs=0",), 2)]
)
def test_help_and_refusals_cost_a_few_seconds(tmp_path, arguments, code):
  used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
  before = used()
  done = subprocess.run(
    [sys.executable, ROOT / "launch.py", *arguments],
    check=False,
    capture_output=True,
    text=True,
    cwd=tmp_path,
    env=environment(),
  )
  assert done.returncode == code, done.stderr
  assert used() - before < 6  # of the processors' time, which other processes do not lengthen
  assert list(tmp_path.iterdir()) == []


def test_verify_measures_every_seed_and_writes_the_results(door, monkeypatch, tmp_path):
  monkeypatch.setattr(launch, "RESULTS", tmp_path / "RESULTS.md")
  code, out, _ = door("--verify", "--seeds=2", "--seed=4")
  assert code == 0 and "RESULTS.md: 1 claims, all hold" in out
  assert "| C06 | test accuracy |" in (tmp_path / "RESULTS.md").read_text()
  (page,) = (tmp_path / "docs" / "gallery").glob("*.md")
  (picture,) = re.findall(r"!\[.*\]\((.*)\)", page.read_text())
  assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")
  runs = sorted(Path("runs/tiny_net").iterdir())
  assert [run_folder.read_identity(run).seed for run in runs] in ([4, 5], [5, 4])
  code, out, _ = door("--verify", "--seeds=2", "--seed=4")
  assert code == 0 and out.count("finished already") == 2

  failing = lambda config, fit: tiny_experiment.Report(
    [tiny_experiment.Claim("C06", "test accuracy", "1", 0.0, tiny_experiment.at_least(1))]
  )
  monkeypatch.setattr(tiny_experiment.ONE, "report", failing)
  code, out, _ = door("--verify", "--seeds=2", "--seed=4", "--fresh")
  assert code == 1 and "failed: C06" in out
  assert "| fail |" in (tmp_path / "RESULTS.md").read_text()


def test_the_default_folder_is_the_same_for_the_same_flags_only(door):
  assert door("--steps=5")[0] == door("--steps=5", "--seed=1")[0] == 0
  assert len(list(Path("runs/tiny_net").iterdir())) == 2
  assert "finished already" in door("--steps=5", "--dispatch=1", "--save_seconds=0")[1]
  assert running.default_folder(run_folder.Identity("a", 0, {})) != running.default_folder(
    run_folder.Identity("a", 1, {})
  )
