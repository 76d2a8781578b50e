"""However a fit is chopped up, interrupted, damaged or distributed, the same comes out."""

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from research.cli import runner
from research.config import digest
from research.errors import DivergedError, InterruptedRun, UserError
from research.lab.lab import Lab
from research.reporting import html_report
from research.store.checkpoint import Checkpoints
from research.store.host_state import to_host
from research.store.interruption import Interruption
from research.store.metrics_log import MetricsLog, read_rows
from research.training import Options
from tests.fixtures import noisy_net
from tests.fixtures.equivalence import TOLERANCE
from tests.fixtures.processes import outcome
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config, everything_under, training

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def fitted(folder, *, config=None, changes=None, name="train", interruption=None, **options):
  folder.mkdir(exist_ok=True)
  config = config or Config()
  lab = Lab(folder, seed=0, options=Options(**options), interruption=interruption)
  return lab.fit(name, config, training(config, **(changes or {})))


def bits(fit):
  return {name: array.tobytes() for name, array in to_host(fit.state).items()}


def test_a_kept_file_with_another_content_is_refused(tmp_path):
  lab = Lab(tmp_path, seed=0, options=Options())
  for _ in range(2):
    lab.keep("characters.json", '["é"]')
  with pytest.raises(UserError, match=r"characters.json does not fit .* --fresh"):
    lab.keep("characters.json", '["e"]')
  assert (tmp_path / "characters.json").read_text("utf-8") == '["é"]'


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp("expected")
  return folder, fitted(folder)


@pytest.mark.parametrize("dispatch", [1, 3, 64])
def test_any_number_of_steps_per_call_gives_the_same_rows(expected, tmp_path, dispatch):
  fit = fitted(tmp_path, dispatch=dispatch, save_seconds=0.0)
  assert [row["step"] for row in fit.history] == list(range(0, 41, 5))
  for ours, theirs in zip(fit.history, expected[1].history, strict=True):
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"fit"}:
      assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-6), name


def test_interruptions_after_any_compiled_call_change_no_byte(expected, tmp_path):
  # Chunks of 2, 2 and 1 steps between two rows: some stops lie between rows, some on them.
  whole, folder, stops = fitted(tmp_path / "whole", dispatch=2), tmp_path / "chopped", 0
  while True:
    try:
      interruption = StopAfter(2 * stops % 7)
      fit = fitted(folder, dispatch=2, interruption=interruption, save_seconds=1e9)
      break
    except InterruptedRun as stop:
      stops += 1
      assert stop.exit_code == 128 + 15 and "same command" in str(stop)
  assert stops >= 5
  assert bits(fit) == bits(whole)
  files = [folder / "metrics.jsonl", tmp_path / "whole" / "metrics.jsonl"]
  assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_fit_is_not_trained_again(expected, monkeypatch):
  folder, fit = expected
  before = everything_under(folder)
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  again = fitted(folder)
  assert bits(again) == bits(fit) and again.history == fit.history
  after = everything_under(folder)
  assert {path for path in before if before[path] != after[path]} <= {folder}


def test_several_fits_keep_their_order_also_when_one_is_asked_for_twice(tmp_path):
  config = Config(steps=10)
  lab = Lab(tmp_path, seed=0, options=Options())
  for name in ("a", "b", "a", "c"):
    lab.fit(name, config, training(config))
  rows = [(row["fit"], row["step"]) for row in read_rows(tmp_path)]
  assert rows == [(name, step) for name in "abc" for step in (0, 5, 10)]
  finals = [tuple(bits(lab.fit(name, config, training(config))).values()) for name in "abc"]
  assert len(set(finals)) == 3  # each name has its own randomness


def test_a_name_used_twice_or_unfit_for_a_folder_is_refused(tmp_path):
  lab = Lab(tmp_path, seed=0, options=Options())
  lab.fit("a", Config(steps=5), training(Config(steps=5)))
  with pytest.raises(ValueError, match="two fits with different settings are named 'a'"):
    lab.fit("a", Config(steps=5, learning_rate=0.1), training(Config(steps=5)))
  for name in ("", "../a", "a/b", ".a"):
    with pytest.raises(ValueError, match="name of a fit"):
      lab.fit(name, Config(), training(Config()))


def test_a_lab_outside_the_command_line_leaves_signal_handlers_alone(tmp_path):
  before = signal.getsignal(signal.SIGINT)
  Lab(tmp_path, seed=0, options=Options())
  assert signal.getsignal(signal.SIGINT) is before


def best_of(folder):
  checkpoints = Checkpoints(folder / "checkpoints" / "train", warn=pytest.fail)
  best = checkpoints.best()
  checkpoints.close()
  return best.step, {name: array.tobytes() for name, array in best.arrays.items()}


def test_the_best_checkpoint_does_not_depend_on_the_clock(tmp_path):
  """Of equal scores the first wins, whenever else was saved, also after an interruption."""
  still = {"config": Config(learning_rate=0.0)}  # every score is the first one's equal
  fitted(tmp_path / "seldom", **still, save_seconds=1e9)
  fitted(tmp_path / "often", **still, save_seconds=0)
  with pytest.raises(InterruptedRun):
    fitted(tmp_path / "twice", **still, interruption=StopAfter(4), save_seconds=1e9)
  fitted(tmp_path / "twice", **still, save_seconds=0)
  best = [best_of(tmp_path / name) for name in ("seldom", "often", "twice")]
  assert best[0][0] == 10 and best[0] == best[1] == best[2]


@pytest.mark.parametrize("metric", ["test/accuracy", "test/loss"])
def test_the_best_checkpoint_follows_the_metric(tmp_path, metric):
  # A large step makes the metrics go up and down.
  config = Config(learning_rate=0.8, noise=1.0, steps=60)
  fit = fitted(tmp_path, config=config, changes={"best": metric}, save_seconds=1e9)
  values = {row["step"]: row[metric] for row in fit.history if metric in row and row["step"]}
  choose = min if metric.endswith("loss") else max
  checkpoints = Checkpoints(tmp_path / "checkpoints/train", warn=print)
  best = checkpoints.best().step
  checkpoints.close()
  assert values[best] == choose(values.values()) and best != 60
  assert {60, best} <= {
    int(p.name) for p in (tmp_path / "checkpoints/train").iterdir() if p.name.isdigit()
  }


@pytest.mark.parametrize("parallel", ["shard", "pmap"])
def test_a_run_saved_on_one_device_goes_on_on_eight(tmp_path, parallel):
  assert jax.device_count() == 8
  config = noisy_net.Config()
  changes = {
    "learner": noisy_net.LEARNER,
    "data": jax.device_get(noisy_net.data_set()),
    "evaluate": {"test": jax.device_get(noisy_net.data_set(20))},
    "steps": noisy_net.STEPS,
    "log_every": 1,
    "evaluate_every": 1,
    "best": None,
  }

  def run(folder, parallel, interruption=None):
    folder.mkdir(exist_ok=True)
    lab = Lab(folder, seed=0, options=Options(parallel), interruption=interruption)
    return lab.fit("train", config, training(Config())._replace(**changes))

  whole = run(tmp_path / "whole", "jit")
  with pytest.raises(InterruptedRun):
    run(tmp_path / "moved", "jit", StopAfter(3))
  moved = run(tmp_path / "moved", parallel)
  assert [row["step"] for row in moved.history] == list(range(noisy_net.STEPS + 1))
  for ours, theirs in zip(*(to_host(fit.state).values() for fit in (moved, whole)), strict=True):
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("dispatch", [1, 4, 5])
def test_a_loss_that_is_not_finite_stops_the_run_at_its_step(cli, dispatch):
  command = ("--fatal_step=23", "--workdir=run", "--save_seconds=0", f"--dispatch={dispatch}")
  code, _, err = cli(*command)
  (line,) = [line for line in err.splitlines() if line.startswith("launch.py: ")]
  assert code == 3
  for words in (
    "loss became nan at step 24",
    "'train'",
    "--learning_rate (now 0.5)",
    "--on_nan=continue",
    "checkpoint of step 2",
  ):
    assert words in line, line
  checkpoints = Checkpoints(Path("run/checkpoints/train"), warn=print)
  snapshot = checkpoints.latest()
  checkpoints.close()
  assert 15 <= snapshot.step <= 23 and f"checkpoint of step {snapshot.step} " in line
  assert all(np.isfinite(array).all() for array in snapshot.arrays.values())
  again = cli(*command)
  assert again[0] == 3 and line in again[2].splitlines()


@pytest.mark.parametrize("is_in_data", [True, False])
def test_inputs_that_are_not_finite_are_blamed_before_the_step_size(tmp_path, is_in_data):
  made = training(Config())
  image = made.data["image"].copy()
  image[7, 2] = np.nan
  changes = {"data": made.data | {"image": image}}
  words = "image of training example 7 is nan: mend the data"
  if not is_in_data:
    words = "an observation of the environment is inf: mend the environment"
    changes = {"learner": made.learner._replace(blame=lambda state: words.partition(":")[0])}
  with pytest.raises(DivergedError, match=f"loss became nan .*{words}, or --on_nan") as caught:
    fitted(tmp_path, config=Config(fatal_step=3.0), changes=changes)
  assert "learning_rate" not in str(caught.value)
  assert not (tmp_path / "checkpoints").exists()


def test_a_fit_is_fingerprinted_once(tmp_path, monkeypatch):
  calls = []
  counted = lambda *arguments: calls.append(1) or digest(*arguments)
  monkeypatch.setattr("research.training.digest", counted)  # twice in a fingerprint
  with pytest.raises(InterruptedRun):
    fitted(tmp_path, interruption=StopAfter(3))
  fitted(tmp_path)
  fitted(tmp_path)
  assert len(calls) == 3 * 2


def test_on_nan_continue_goes_on_with_null_in_the_rows(cli):
  stopped = cli("--fatal_step=23", "--workdir=run")
  assert stopped[0] == 3
  code, _, err = cli("--fatal_step=23", "--workdir=run", "--on_nan=continue", "--save_seconds=0")
  assert code == 0, err

  def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")

  lines = Path("run/metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line, parse_constant=refuse) for line in lines]
  assert [row["step"] for row in rows] == list(range(0, 41, 5))
  assert [row["step"] for row in rows if row.get("train/loss", 0) is None] == [25, 30, 35, 40]
  json.loads(Path("run/claims.json").read_text(), parse_constant=refuse)


DAMAGES = {
  "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
  "flipped": lambda path: path.write_bytes(
    bytes(byte ^ (1 << index % 8) for index, byte in enumerate(path.read_bytes()))
  ),
  "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize(
  ("experiment", "damage"),
  [
    *(("tiny_net", damage) for damage in DAMAGES),
    pytest.param("tiny_race", "flipped", marks=pytest.mark.slow),
  ],
)
def test_a_run_with_a_damaged_checkpoint_ends_as_if_it_were_whole(cli, experiment, damage):
  assert cli("--workdir=expected", "--save_seconds=0", experiment=experiment)[0] == 0
  names = sorted(path.name for path in Path("expected/checkpoints").iterdir())
  for victims in ([names[0]], names) if len(names) > 1 else (names,):
    shutil.copytree("expected", "run")
    Path("run/claims.json").unlink()
    for name in victims:
      for path in Path(f"run/checkpoints/{name}/40").rglob("*"):
        if path.is_file() and ("state/d" in str(path) or "about" in str(path)):
          DAMAGES[damage](path)
    code, _, err = cli("--workdir=run", experiment=experiment)
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert code == 0 and "Traceback" not in err, err
    assert "step 40" in warnings[0] and "damaged-40.1" in warnings[0]
    assert "resuming at step 35" in err
    assert outcome(Path("run")) == outcome(Path("expected"))
    shutil.rmtree("run")


def test_a_run_without_any_whole_checkpoint_says_so_and_starts_anew(cli):
  assert cli("--workdir=expected", "--save_seconds=0")[0] == 0
  shutil.copytree("expected", "run")
  Path("run/claims.json").unlink()
  for path in Path("run/checkpoints/train").glob("*/about/metadata"):
    path.write_text("{}")
  code, _, err = cli("--workdir=run")
  assert code == 0 and "no checkpoint is whole: starting from the beginning" in err
  assert outcome(Path("run")) == outcome(Path("expected"))


def full_disk(*arguments, **options):
  raise OSError(errno.ENOSPC, "No space left on device")


def after(calls, original, wrong):
  """Does what `original` does so many times, and then goes wrong."""
  left = iter(range(calls))
  return lambda *arguments, **options: (
    wrong() if next(left, None) is None else original(*arguments, **options)
  )


FULL = {
  "the first file": (runner, "write_json", 0),
  "a row of metrics": (MetricsLog, "append", 6),
  "a sync of metrics": (MetricsLog, "sync", 3),
  "a checkpoint": (Checkpoints, "save", 3),
  "the end of a checkpoint": (Checkpoints, "wait", 0),
  "a figure": (runner, "write_atomically", 0),
  "the report": (html_report, "write_report", 0),
  "the claims": (runner, "write_json", 1),
}


@pytest.mark.parametrize("where", FULL)
def test_a_full_disk_is_reported_in_one_line_and_the_resumed_run_ends_equal(
  cli, monkeypatch, where
):
  assert cli("--workdir=expected")[0] == 0
  owner, name, calls = FULL[where]
  with monkeypatch.context() as patch:
    patch.setattr(owner, name, after(calls, getattr(owner, name), full_disk))
    code, _, err = cli("--workdir=run", "--save_seconds=0")
  lines = [line for line in err.splitlines() if not line.startswith("train: ")]
  assert code == 4 and len(lines) == 1, err
  assert "disk is full: run " in lines[0] and "free some space" in lines[0]
  assert not Path("run/claims.json").exists()
  code, _, err = cli("--workdir=run")
  assert code == 0 and "warning" not in err, err
  assert outcome(Path("run")) == outcome(Path("expected"))


def test_a_disk_that_fills_up_inside_of_orbax_is_reported_in_one_line(cli, monkeypatch):
  import orbax.checkpoint as ocp

  monkeypatch.setattr(ocp.CheckpointManager, "wait_until_finished", full_disk)
  code, _, err = cli("--workdir=run")
  assert code == 4 and "Traceback" not in err and err.count("launch.py: the disk is full") == 1


def test_a_signal_in_the_last_call_of_a_fit_stops_the_run_before_the_next_fit(tmp_path):
  signalled = Interruption(())
  lab = Lab(tmp_path, seed=0, options=Options(), interruption=signalled)
  config = Config()
  lab.fit("first", config, training(config))
  signalled.signal_number = 15
  lab.fit("first", config, training(config))  # finished: it is only read
  with pytest.raises(InterruptedRun, match="before fit 'second'"):
    lab.fit("second", config, training(config))
