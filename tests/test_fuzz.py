"""Command lines and damaged folders at random: a line and a known exit code, never a traceback."""

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from research.store.metrics_log import MetricsLog
from tests.fixtures import tiny_experiment

pytestmark = [
  pytest.mark.slow,
  # Orbax's threads may outlive the event loop of a restore that failed.
  pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
in_one_folder = settings(suppress_health_check=list(HealthCheck), max_examples=500)
DOCUMENTED = {0, 1, 2, 3, 4, 128 + signal.SIGINT, 128 + signal.SIGTERM}

JUNK = st.text(max_size=8) | st.sampled_from(
  (
    "",
    " ",
    "-1",
    "2.5",
    "nan",
    "-inf",
    "1e39",
    "１２",
    "1_0",
    "x",
    "ü",
    "\udcff",
    "a\nb",
    "\0",
    "%s",
    "--",
    "=",
    "9" * 30,
    "9" * 5000,
    "[]",
    "None",
    "0x10",
    "+",
    "é" * 300,
  )
)
# Long runs are no finding, so that what is allowed is small.
VALUES = {
  "experiment": ["tiny_net", "tiny_race", "nope"],
  "workdir": ["done", "part", "sweep", "new", "deep/new", "file", "file/x", "~nosuchuser/x", "."],
  "fork": ["done", "part", "sweep", "new", "file", "done/checkpoints", "~nosuchuser"],
  "init_from": ["done", "part", "sweep", "new", "file", "~nosuchuser"],
  "validation": ["0.2", "0.5", "0", "1", "0.001", "2"],
  "data_dir": [".", "nowhere", "file", "~nosuchuser/x"],
  "flagfile": ["good.flags", "bad.flags", "file", "nowhere", "."],
  "seed": ["0", "7", "4294967296"],
  "seeds": ["1", "2"],
  "parallel": ["jit", "shard", "pmap"],
  "on_nan": ["stop", "continue"],
  "save_seconds": ["0", "30"],
  "dispatch": ["0", "3"],
  "trials": ["1", "3"],
  "sampler": ["random", "grid", "sobol", "cmaes"],
  "stopper": ["none", "asha", "pbt", "median"],
  "rounds": ["1", "2"],
  "objective": ["test/accuracy", "test/acc", "train/loss", "validation/accuracy"],
  "lanes": ["auto", "map", "2", "0"],
  "engine": ["local", "ray", "slurm"],
  "workers": ["1"],
  "slurm": ["a=b"],
  "width": ["5", "6", "0", "2147483647"],
  "kind": ["plain", "fancy", "other"],
  "steps": ["1", "10", "0"],
  "noise": ["0", "1", "2"],
  "fatal_step": ["-1", "3"],
  "learning_rate": ["0.5", "1e30", "-1"],
}
SWITCHES = ["evaluate", "gradcheck", "fresh", "verify", "list", "help"]
PIECES = ["learning_rate", "noise", "width", "kind", "=", "log", "uniform", "choice", "(", ")", ","]
PIECES += [";", " ", "1e-3", "0.5", "2", "plain", "seeds", "nan", "-1", "²", "="]
SWEEPS = st.sampled_from(
  ["learning_rate=log(1e-2,1)", "noise=uniform(0,1); seeds(2)", "width=choice(5,6)"]
) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def given_flag(name):
  allowed = st.sampled_from(VALUES[name])
  # Numbers that hypothesis makes up may be long runs; junk is none.
  return (allowed | allowed | JUNK.filter(lambda text: not text.strip().isdigit())).map(
    lambda value: f"--{name}={value}"
  )


FLAGS = st.one_of(
  *(given_flag(name) for name in VALUES),
  *(st.sampled_from([f"--{name}", f"--no{name}", f"--{name}=1"]) for name in SWITCHES),
  SWEEPS.map(lambda text: f"--sweep={text}"),
  st.text(max_size=6),
  st.sampled_from(["--stepz=3", "--seed", "-x", "--no", "--width"]),
)
SENSIBLE = """--steps=10 --width=6 --kind=fancy --noise=0 --learning_rate=0.1 --seed=3 --dispatch=3
  --experiment=tiny_race --parallel=shard --fresh --nofresh --workdir=new --workdir=done
  --workdir=part --fork=done --evaluate --gradcheck --fatal_step=3 --on_nan=continue --verify
  --seeds=1 --save_seconds=0 --validation=0.2 --init_from=done"""
GOOD = st.sampled_from(SENSIBLE.split())
SWEPT = st.tuples(
  SWEEPS.map(lambda text: f"--sweep={text}"),
  st.sampled_from(["--trials=1", "--trials=3"]),
  given_flag("sampler") | given_flag("stopper") | given_flag("objective") | given_flag("engine"),
).map(list)
COMMANDS = (
  st.lists(FLAGS, max_size=5)
  | SWEPT
  | st.tuples(st.lists(FLAGS, max_size=2), SWEPT).map(lambda both: both[0] + both[1])
)


class Stopped:
  """Sends this process a signal when so many rows are written."""

  def __init__(self, rows):
    self.rows = rows

  def __enter__(self):
    self.patch = pytest.MonkeyPatch()
    append, seen = MetricsLog.append, []

    def append_and_stop(log, row, seconds):
      append(log, row, seconds)
      seen.append(row)
      if len(seen) == self.rows:
        signal.raise_signal(signal.SIGTERM)

    self.patch.setattr(MetricsLog, "append", append_and_stop)

  def __exit__(self, *raised):
    self.patch.undo()


RUNS = {
  "done": ("--steps=10",),
  "part": (),
  "race": ("--experiment=tiny_race", "--steps=10"),
  "sweep": ("--sweep=learning_rate=log(1e-2,1)", "--trials=2", "--steps=10"),
}


@pytest.fixture
def place(cli, monkeypatch, tmp_path):
  """A folder with runs of every kind, and the quick start a tiny one."""
  monkeypatch.setattr("research.cli.common_flags.QUICK_START", "tiny_net")
  monkeypatch.setattr("research.cli.main.RESULTS", tmp_path / "RESULTS.md")
  for missing in ("ray", "submitit"):
    monkeypatch.setitem(sys.modules, missing, None)
  Path("file").write_text("mine")
  Path("good.flags").write_text("--steps=10\n")
  Path("bad.flags").write_bytes(b"--width=\xe9")
  for name, flags in RUNS.items():
    command = (*flags, f"--workdir={name}", "--save_seconds=0")
    if name == "part":
      with Stopped(5):
        assert cli(*command, experiment=None)[0] == 128 + signal.SIGTERM
    else:
      assert cli(*command, experiment=None)[0] == 0
  return tmp_path


def contents(folder):
  """Every file and folder, without what a look at them may change."""
  return {
    str(path): path.read_bytes() if path.is_file() else None
    for path in folder.rglob("*")
    if path.name != ".lock" and not path.name.endswith(("-wal", "-shm"))
  }


def checked(cli, command):
  """Runs the command line; returns the exit code and what was said."""
  code, out, err = cli(*command, experiment=None)  # whatever it raises is the finding
  assert code in DOCUMENTED, (command, code, err)
  assert "Traceback" not in out + err, (command, err)
  event(f"exit code {code}")
  return code, out, err


def test_command_lines(place, cli):
  count = []

  @in_one_folder
  @given(COMMANDS)
  def run(command):
    if "--verify" in command and any("experiment" in word for word in command):
      command = [word for word in command if word != "--verify"]  # of a family it is no short run
    before = contents(place)
    code, _, err = checked(cli, command)
    count.append(code)
    if code == 2 and "diverged" not in err:
      assert err.splitlines()[-1].startswith("launch.py: "), err
      assert contents(place) == before, command

  run()
  print({code: count.count(code) for code in sorted(set(count))})


WRONG = ["", "[]", "null", "{}", "3", '"x"', "[" * 100_000, '{"a": [null]}', "\0", "é"]


def damaged(path, kind, place):
  """Damages a file; `place` in [0, 1) says where, or how."""
  content = path.read_bytes()
  at = int(place * len(content))
  if kind == "cut":
    path.write_bytes(content[:at])
  elif kind == "flipped":
    if content:
      path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
  elif kind == "garbage":
    path.write_bytes(bytes((number * 37 + at) % 256 for number in range(200)))
  elif kind == "wrong":
    path.write_text(WRONG[int(place * len(WRONG))])
  elif kind == "folder":
    path.unlink()
    path.mkdir()
  else:
    path.unlink()


DAMAGE = st.tuples(
  st.sampled_from(list(RUNS)),
  st.booleans(),  # one of the few at the top, or any
  st.floats(0, 1, exclude_max=True),  # which file
  st.sampled_from(["cut", "flipped", "garbage", "wrong", "folder", "lost"]),
  st.floats(0, 1, exclude_max=True),
  st.booleans(),
)


def test_damaged_folders(place, cli):
  shutil.copytree("part", "whole")
  assert cli("--workdir=whole", experiment=None)[0] == 0
  expected = {name: Path(name, "claims.json") for name in RUNS} | {
    "part": Path("whole/claims.json")
  }
  claims = {name: json.loads(path.read_text()) for name, path in expected.items()}
  counts = []

  @settings(in_one_folder, max_examples=300)
  @given(DAMAGE)
  def run(damage):
    name, at_the_top, which, kind, where, is_evaluated = damage
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree(name, "run")
    found = Path("run").glob("*") if at_the_top else Path("run").rglob("*")
    files = sorted(path for path in found if path.is_file())
    damaged(files[int(which * len(files))], kind, where)
    command = ("--evaluate",) if is_evaluated else RUNS[name]
    code, out, err = checked(cli, (*command, "--workdir=run"))
    counts.append(code)
    if code == 0 and not is_evaluated and "lost or changed" not in out:
      assert json.loads(Path("run/claims.json").read_text()) == claims[name]
    if code:
      assert err.splitlines()[-1].startswith("launch.py: "), err

  run()
  print({code: counts.count(code) for code in sorted(set(counts))})


def test_the_fuzz_sees_a_traceback(place, cli, monkeypatch):
  def broken(*arguments):
    raise IndexError("a fault")

  tiny_experiment.change_net(monkeypatch, training=broken)
  with pytest.raises(IndexError):
    checked(cli, ("--workdir=new",))
