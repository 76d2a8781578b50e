"""Signals at any moment, and surroundings that are not what one expects."""

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launch
from research.errors import UserError
from research.lab import process, registry
from research.store.files import cache_folder
from tests.fixtures.processes import ROOT, environment, start, wait_for
from tests.fixtures.tiny_experiment import refused

LAUNCH = f"{sys.executable} {ROOT / 'launch.py'}"
TINY = "--experiment=digits_convnet --filters=2 --hidden=8"
SECONDS = 5 + 5  # to leave in, and what a busy machine takes besides


def left(running, number):
  """Sends a signal; returns the exit code, the seconds that it took, and what was said."""
  running.send_signal(number)
  sent = time.monotonic()
  try:
    said = "".join(running.communicate(timeout=30))
  except subprocess.TimeoutExpired:
    running.kill()
    said = "".join(running.communicate()) + "not answered"
  return running.returncode, time.monotonic() - sent, said


def test_a_signal_amid_the_first_imports_leaves_with_its_code(tmp_path):
  running = start(*TINY.split(), f"--workdir={tmp_path / 'run'}")
  time.sleep(0.5)
  code, seconds, said = left(running, signal.SIGINT)
  assert code == 130 and "Traceback" not in said and "ignored" not in said, said
  assert seconds < SECONDS


def test_a_signal_where_no_fit_runs_leaves_with_its_code(tmp_path):
  running = start("--experiment=activation_histograms", f"--workdir={tmp_path / 'run'}")
  assert wait_for((tmp_path / "run/environment.json").exists, running)
  code, seconds, said = left(running, signal.SIGTERM)
  assert code == 143 and "Traceback" not in said and "same command" in said, said
  assert seconds < SECONDS


def test_control_c_is_not_raised_by_the_door(cli, monkeypatch):
  def interrupted(entry):
    os.kill(os.getpid(), signal.SIGINT)

  monkeypatch.setattr("research.cli.runner.process.start_jax", lambda: None)
  monkeypatch.setattr("research.lab.run_folder.write_identity", lambda *given: interrupted(given))
  code, _, err = cli("--workdir=run")
  assert code == 130 and "same command" in err and "Traceback" not in err


def shell(command, folder, **changes):
  """Runs a line of bash; returns (exit code, stdout, stderr), both with what no encoding knows."""
  kept = environment(**changes)
  done = subprocess.run(
    ["bash", "-c", f"set -o pipefail; {command}"],
    check=False,
    capture_output=True,
    text=True,
    errors="backslashreplace",
    cwd=folder,
    env={name: value for name, value in kept.items() if value is not None},
    timeout=300,
  )
  return done.returncode, done.stdout, done.stderr


OUTPUTS = {
  ">&-": "",
  "2>&-": "",
  "2>/dev/full": "",
  "| head -1": "",
  "2>&1 | true": "",
  ">/dev/full": "launch.py: stdout cannot be written: No space left on device\n",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_that_break_leave_no_traceback(tmp_path, output):
  code, _, err = shell(f"{LAUNCH} --list {output}", tmp_path)
  assert (code, err) == (0, OUTPUTS[output])


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_that_break_stop_no_training(tmp_path, output):
  code, _, err = shell(f"{LAUNCH} {TINY} --epochs=2 --workdir=run {output}", tmp_path)
  assert code == 0 and "Traceback" not in err, err
  assert (tmp_path / "run/claims.json").exists()


ENCODINGS = {
  "ascii": {"PYTHONIOENCODING": "ascii"},
  "latin-1": {"PYTHONIOENCODING": "latin-1"},
  "cp1252": {"PYTHONIOENCODING": "cp1252"},
  "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_encoding_lacks_is_said_plainly(tmp_path, encoding):
  program = (
    "from research.cli import streams; streams.make_safe(); print('\\u2265 98 \\u00b1 1 \\u56fe')"
  )
  code, out, err = shell(
    f'{sys.executable} -S -c "{program}"', tmp_path, PYTHONPATH=str(ROOT), **ENCODINGS[encoding]
  )
  assert code == 0 and out.startswith(">= 98 ") and out.endswith(" 1 \\u56fe\n"), err


@pytest.mark.parametrize(
  ("flags", "collectives"),
  [
    (("--workdir=runs/parallel",), False),
    (("--parallel=jit",), False),
    (("--parallel", "shard"), True),
    (("-parallel=pmap",), True),
    (("--flagfile=given",), True),
  ],
)
def test_threads_for_collectives_go_by_the_flag_itself(monkeypatch, tmp_path, flags, collectives):
  monkeypatch.chdir(tmp_path)
  Path("given").write_text("--parallel=shard\n")
  seen = []

  def prepare(*, collectives):
    seen.append(collectives)
    raise UserError("enough")

  monkeypatch.setattr(process, "prepare_jax", prepare)
  assert launch.main(["launch.py", *flags], owns_process=True) == 2
  assert seen == [collectives]


def test_what_would_change_every_number_is_set_aside(monkeypatch, capsys):
  given = {"JAX_ENABLE_X64": "1", "JAX_DEFAULT_PRNG_IMPL": "rbg", "MPLBACKEND": "nonsense"}
  monkeypatch.setattr(os, "environ", {**os.environ, **given})
  process.prepare_jax(collectives=False, reexecute=False)
  assert os.environ["MPLBACKEND"] == "agg" and not os.environ.keys() & process.DECIDED_HERE
  assert capsys.readouterr().err.splitlines() == [
    f"{name} of the environment has no effect here"
    for name in ("JAX_DEFAULT_PRNG_IMPL", "JAX_ENABLE_X64")
  ]


def test_no_home_is_needed_but_for_data_sets(monkeypatch, tmp_path):
  kept = ("HOME", "XDG_CACHE_HOME", "LINEAGE_CACHE", "JAX_COMPILATION_CACHE_DIR")
  monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k not in kept})
  monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # KeyError, as for a uid without entry
  with pytest.raises(UserError, match="LINEAGE_CACHE"):
    cache_folder()
  for home in (None, "/proc/nobody"):
    if home:
      os.environ["HOME"] = home
    process.prepare_jax(collectives=False, reexecute=False)
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
  os.environ["HOME"] = str(tmp_path)
  process.prepare_jax(collectives=False, reexecute=False)
  assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / ".cache/lineage/xla")


def test_a_platform_that_is_not_there_is_refused(cli, monkeypatch):
  def devices():
    raise RuntimeError("Unable to initialize backend 'bogus'\nand more")

  monkeypatch.setenv("JAX_PLATFORMS", "bogus")
  monkeypatch.setattr("jax.devices", devices)
  for asked in ((), ("--gradcheck",), ("--evaluate",)):
    assert "JAX_PLATFORMS='bogus'" in refused(cli, *asked)


ENVIRONMENTS = {
  "no such platform": ({"JAX_PLATFORMS": "bogus"}, 2, "JAX_PLATFORMS='bogus'"),
  "no CUDA": ({"JAX_PLATFORMS": "cuda"}, 2, "JAX_PLATFORMS='cuda'"),
  "64 bits": ({"JAX_ENABLE_X64": "1"}, 0, "JAX_ENABLE_X64"),
  "no such figures": ({"MPLBACKEND": "nonsense"}, 0, ""),
  "another generator": ({"JAX_DEFAULT_PRNG_IMPL": "rbg"}, 0, "JAX_DEFAULT_PRNG_IMPL"),
  "no home": ({"HOME": "/nonexistent"}, 0, ""),
  "a home that cannot be written": ({"HOME": "/proc"}, 0, ""),
  **{name: (changes, 0, "") for name, changes in ENCODINGS.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments_stop_no_run_but_with_one_line(tmp_path, name):
  changes, expected, words = ENVIRONMENTS[name]
  command = f"{LAUNCH} {TINY} --epochs=2 --workdir=run"
  for _ in range(2):  # a finished run shows its claims once more
    code, _, err = shell(command, tmp_path, **({"JAX_PLATFORMS": "cpu"} | changes))
    assert code == expected and words in err and "Traceback" not in err, err
    assert (tmp_path / "run").exists() == (expected == 0)
    assert expected == 0 or err.count("\n") == 1, err


def phase(folder):
  """How far a run had come."""
  if not (folder / "environment.json").exists():
    return "start"
  if (folder / "figures").exists():
    return "report"
  return "training" if (folder / "metrics.jsonl").exists() else "before training"


def interrupted_at_random(rng, name, folder):
  """Starts an experiment and sends it a signal sometime; returns the phase and what came of it."""
  number = rng.choice([signal.SIGINT, signal.SIGTERM])
  running = start(f"--experiment={name}", f"--workdir={folder}")
  pause = rng.choice([0.3, 1, 3, 10]) * rng.uniform(0.5, 1.5)
  end = time.monotonic() + pause
  if not wait_for(lambda: time.monotonic() > end, running):
    running.communicate()
    return "over", "ended before", ""
  at = phase(folder)
  code, seconds, said = left(running, number)
  if code == 0:
    outcome = "clean" if (folder / "claims.json").exists() else "lost"
  else:
    outcome = (
      "clean" if code in (128 + number, -number) else f"code {code}"
    )  # -: before any line ran
  if "Traceback" in said or "ignored in" in said:
    outcome = "traceback"
  return (
    at,
    "late" if outcome == "clean" and seconds > SECONDS else outcome,
    f"{seconds:.1f} {said}",
  )


@pytest.mark.slow
def test_signals_at_random_moments_over_the_whole_catalogue(tmp_path):
  # A shell's background job ignores SIGINT; so would the children until their first line.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  rng, found, phases = random.Random(0), collections.Counter(), collections.Counter()
  bad = []
  names = sorted(registry.catalogue())
  for turn in range(int(os.environ.get("SIGNALS", "200"))):
    name = names[turn % len(names)]
    at, outcome, said = interrupted_at_random(rng, name, tmp_path / f"{turn}")
    found[outcome] += 1
    phases[at] += 1
    if outcome not in ("clean", "ended before"):
      bad.append(f"{name} {at} {outcome} {said}")
    print(turn, name, at, outcome, said.splitlines()[:1], flush=True)
  for turn, number in enumerate((signal.SIGINT, signal.SIGTERM)):  # too short a time to be hit by
    folder = tmp_path / f"report {turn}"
    running = start(*TINY.split(), "--epochs=2", f"--workdir={folder}")
    assert wait_for((folder / "figures").exists, running)
    code, seconds, said = left(running, number)
    assert code == 128 + number and seconds < SECONDS and "Traceback" not in said, said
    phases["report"] += 1
  print(found, phases)
  assert bad == []
  assert all(phases[at] for at in ("start", "before training", "training", "report")), phases
