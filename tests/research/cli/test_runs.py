"""The verb `runs`: what it lists, chooses and sorts, and what it costs."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launch
from research.lab import run_folder
from research.sweep.study import Event, Study
from tests.fixtures.run_folders import make_run
from tests.fixtures.tiny_experiment import everything_under

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def listed(capsys):
  """The runs that a command lists, as JSON values."""

  def call(folder, *words):
    assert launch.main(["launch.py", "runs", f"--folder={folder}", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

  return call


def _names(runs):
  return [Path(run["folder"]).name for run in runs]


@pytest.mark.fast
def test_a_run_is_told_from_its_files(tmp_path, listed):
  make_run(tmp_path / "net" / "a", rate=0.5, seed=3)
  assert listed(tmp_path) == [
    {
      "folder": str(tmp_path / "net" / "a"),
      "experiment": "net",
      "seed": 3,
      "state": "finished",
      "began": 1e9 + 3 * 3600,
      "seconds": 40.0,
      "changed": {"seed": 3, "rate": 0.5},
      "metric": "test/accuracy",
      "best": 0.5,
      "last": 0.5,
      "claims": {"pass": 1},
      "trials": {},
    }
  ]


@pytest.mark.fast
def test_runs_are_sorted_and_chosen(tmp_path, listed):
  for number, rate in enumerate((0.5, 0.9, 0.7)):
    name = "other" if rate == 0.7 else "net"
    make_run(tmp_path / str(number), experiment=name, seed=number, rate=rate, finished=rate > 0.6)
  assert _names(listed(tmp_path)) == ["2", "1", "0"]
  assert _names(listed(tmp_path, "--sort=-when")) == ["0", "1", "2"]
  assert _names(listed(tmp_path, "--sort=best")) == ["1", "2", "0"]
  assert _names(listed(tmp_path, "--sort=best", "--metric=train/loss")) == ["0", "1", "2"]
  assert _names(listed(tmp_path, "--sort=-rate")) == ["1", "2", "0"]
  assert _names(listed(tmp_path, "--experiment=net")) == ["1", "0"]
  assert _names(listed(tmp_path, "--experiment=o*")) == ["2"]
  assert _names(listed(tmp_path, "--state=interrupted")) == ["0"]
  assert _names(listed(tmp_path, "--where=test/accuracy>0.6; seed<2")) == ["1"]
  assert _names(listed(tmp_path, "--where=sizes=100,50;rate!=0.5")) == ["2", "1"]


@pytest.mark.fast
def test_a_run_that_is_locked_is_running(tmp_path, listed):
  folder = make_run(tmp_path / "a", finished=False)
  lock = run_folder.Lock(folder)
  assert [run["state"] for run in listed(tmp_path)] == ["running"]
  lock.release()
  assert [run["state"] for run in listed(tmp_path)] == ["interrupted"]


@pytest.mark.fast
def test_a_glance_at_a_lock_keeps_no_run_from_starting(tmp_path):
  folder = make_run(tmp_path / "a")
  with open(folder / ".lock") as file:
    fcntl.flock(file, fcntl.LOCK_SH)
    with pytest.raises(run_folder.UserError, match="is in use"):
      run_folder.Lock(folder)
    wait = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH)\n"
    wait += "print(flush=True); time.sleep(0.03)"
    glance = subprocess.Popen(
      [sys.executable, "-c", wait, folder / ".lock"], stdout=subprocess.PIPE
    )
    assert glance.stdout.readline()
  run_folder.Lock(folder).release()
  glance.wait()


@pytest.mark.fast
def test_damaged_and_foreign_folders_are_no_hindrance(tmp_path, listed):
  make_run(tmp_path / "whole")
  for name, text in (("config.json", "{"), ("metrics.jsonl", "[1]\n"), ("timing.jsonl", "{}\n3\n")):
    (make_run(tmp_path / name) / name).write_text(text)
  (make_run(tmp_path / "claims") / "claims.json").write_text("[3]")
  (make_run(tmp_path / "surroundings") / "environment.json").write_bytes(b"\xff\xfe")
  deep = make_run(tmp_path / "deep")
  (deep / "config.json").write_text("[" * 100_000)
  (tmp_path / "model").mkdir()
  (tmp_path / "model" / "config.json").write_text('{"hidden": 3}')  # another program's
  (tmp_path / "loop").symlink_to(tmp_path)
  (tmp_path / "whole" / "blocks" / "b").mkdir(parents=True)
  (tmp_path / "whole" / "blocks" / "b" / "config.json").write_text("{}")
  states = {Path(run["folder"]).name: run["state"] for run in listed(tmp_path)}
  assert states == {
    "whole": "finished",
    "config.json": "damaged",
    "metrics.jsonl": "finished",
    "timing.jsonl": "finished",
    "claims": "finished",
    "surroundings": "finished",
    "deep": "damaged",
  }


@pytest.mark.fast
@pytest.mark.parametrize(
  ("words", "says"),
  [
    (["--folder=nowhere"], "--folder=nowhere is not a folder"),
    (["--state=gone"], "unknown state 'gone'"),
    (["--where=rate"], "is no condition"),
    (["--where=rat=1"], "did you mean rate"),
    (["--sort=rats"], "did you mean rate"),
    (["--metric=test/acuracy"], "did you mean test/accuracy"),
    (["--experiment=nett"], "did you mean net"),
    (["--seed=1"], "unknown flag '--seed'"),
    (["there"], "unexpected argument 'there'"),
  ],
)
def test_bad_input_is_refused_in_a_line(tmp_path, monkeypatch, capsys, words, says):
  make_run(tmp_path / "a")
  monkeypatch.chdir(tmp_path)
  given = [] if words[0].startswith("--folder") else ["--folder=."]
  assert launch.main(["launch.py", "runs", *given, *words]) == 2
  err = capsys.readouterr().err
  assert says in err and err.count("\n") == 1


@pytest.mark.fast
def test_the_table_names_state_and_settings(tmp_path, capsys):
  make_run(tmp_path / "a", rate=0.25)
  assert launch.main(["launch.py", "runs", f"--folder={tmp_path}"]) == 0
  head, line = capsys.readouterr().out.splitlines()
  assert head.split() == ["when", "took", "experiment", "state", "best", "folder", "settings"]
  assert "40 s  net         finished  test/accuracy 25.00 %" in line and line.endswith("rate=0.25")


def test_the_list_needs_no_jax(tmp_path):
  make_run(tmp_path / "a")
  script = (
    "import sys, launch\n"
    f"assert launch.main(['launch.py', 'runs', '--folder={tmp_path}']) == 0\n"
    "heavy = {'jax', 'flax', 'optax', 'orbax', 'matplotlib', 'scipy', 'tensorboardX'}\n"
    "print(sorted(heavy & set(sys.modules)))"
  )
  done = subprocess.run(
    [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_two_thousand_runs_take_three_seconds(tmp_path):
  for number in range(2000):
    make_run(tmp_path / f"{number % 50}" / f"{number}", seed=number)
  command = [sys.executable, "launch.py", "runs", f"--folder={tmp_path}"]
  took = []
  for _ in range(3):  # the least of three, for other processes may take the cores
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    took.append(time.monotonic() - began)
  assert len(done.stdout.splitlines()) == 2001
  assert min(took) <= 3, took


@pytest.mark.fast
def test_a_sweep_is_told_from_its_study_which_is_left_alone(tmp_path, listed):
  folder = make_run(tmp_path / "a?#", rows=0, finished=False)
  config = json.loads((folder / "config.json").read_text())
  config["config"] |= {"--sweep": "rate=log(0.1,1)", "--trials": 3, "--sampler": "random"}
  (folder / "config.json").write_text(json.dumps(config))
  settings = {"objective": "test/accuracy", "larger_is_better": True}
  study = Study(folder / "study.sqlite", settings)
  events = [Event("started", number, {"values": {}, "round": 0}) for number in (0, 1, 2)]
  events += [Event("reported", 0, {"test/accuracy": [value]}) for value in (0.7, 0.9, 0.8)]
  study.record([*events, Event("finished", 0), Event("diverged", 1)])
  while_open = listed(tmp_path)
  study.close()
  before = everything_under(folder)
  (run,) = listed(tmp_path)
  assert everything_under(folder) == before
  assert (run["metric"], run["best"], run["last"]) == ("test/accuracy", 0.9, 0.8)
  assert run["trials"] == {"finished": 1, "diverged": 1, "running": 1}
  assert run["changed"] == {"rate": 0.1, "--sweep": "rate=log(0.1,1)", "--trials": 3}
  assert [while_open[0][name] for name in ("best", "trials")] == [run["best"], run["trials"]]
