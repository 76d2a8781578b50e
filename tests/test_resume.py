"""A run that is killed, at any moment and as often as you like, ends as if nothing had happened."""

import functools
import json
import random
import signal
import time

import pytest

from tests.fixtures.processes import (
  TINY_ATARI,
  TINY_CARTPOLE,
  TINY_CONVNET,
  TINY_GYMNASIUM,
  TINY_LEVERS,
  TINY_MEMORISATION,
  TINY_MINATAR,
  TINY_TWO_LAYER,
  launch,
  outcome,
  saves_under_way,
  start,
  steps_saved,
  wait_for,
)

EXPERIMENTS = {
  "one fit": TINY_CONVNET,
  "two fits": TINY_TWO_LAYER,
  "levers": TINY_LEVERS,
  "carries": TINY_MEMORISATION,
  "CartPole": TINY_CARTPOLE,
  "MinAtar": TINY_MINATAR,
  "gymnasium": TINY_GYMNASIUM,
  "Atari": TINY_ATARI,
}
NEEDS = {"MinAtar": "pgx", "gymnasium": "pygame", "Atari": "ale_py"}


def whole_run(name, tmp_path_factory):
  """An experiment's command, and its folder and outcome when nothing interrupts it."""
  if name in NEEDS:
    pytest.importorskip(NEEDS[name])
  folder = tmp_path_factory.mktemp("uninterrupted") / "run"
  code, _, stderr = launch(*EXPERIMENTS[name], f"--workdir={folder}")
  assert code == 0, stderr
  expected = outcome(folder)
  assert_steps_ascend(expected["metrics.jsonl"])
  return EXPERIMENTS[name], folder, expected


def assert_steps_ascend(metrics):
  """No step of a fit is missing at its start, stands twice, or comes out of order."""
  rows = [json.loads(line) for line in metrics.splitlines()]
  for fit in {row["fit"] for row in rows}:
    steps = [row["step"] for row in rows if row["fit"] == fit]
    assert steps == sorted(set(steps)) and steps[0] == 0


def assert_equal_outcomes(ours, expected):
  assert list(ours) == list(expected)
  assert [name for name in expected if ours[name] != expected[name]] == []


SLOW = [pytest.param(name, 10, marks=pytest.mark.slow) for name in EXPERIMENTS]


@pytest.mark.parametrize("name, kills", [("one fit", 3), *SLOW])
def test_kill_9_at_random_moments_changes_no_byte(tmp_path_factory, tmp_path, name, kills):
  arguments, _, expected = whole_run(name, tmp_path_factory)
  folder, rng = tmp_path / "run", random.Random(0)
  command = (*arguments, f"--workdir={folder}", "--save_seconds=0")
  inside_a_save = 0
  for kill in range(kills):
    process = start(*command)
    before = steps_saved(folder)
    if kill % 3 == 0:  # inside of a save
      is_alive = wait_for(functools.partial(saves_under_way, folder), process)
      time.sleep(rng.uniform(0, 0.01))
    elif kill % 3 == 1:  # some time after progress was made
      is_alive = wait_for(lambda before=before: steps_saved(folder) - before, process)
      time.sleep(rng.uniform(0, 0.2))
    else:  # anywhere, the start included
      is_alive = True
      time.sleep(rng.uniform(0, 4))
    inside_a_save += bool(saves_under_way(folder))
    process.kill()
    process.communicate()
    assert is_alive, "the run ended before it could be killed: make it longer"
  assert inside_a_save >= kills // 3
  code, _, stderr = launch(*command)
  assert code == 0, stderr
  assert "resuming at step" in stderr
  assert_equal_outcomes(outcome(folder), expected)


def rows_written(folder):
  rows = folder / "metrics.jsonl"
  return rows.read_bytes().count(b"\n") if rows.exists() else 0


@pytest.mark.parametrize(
  "name", [pytest.param(n, marks=pytest.mark.slow if n != "two fits" else ()) for n in EXPERIMENTS]
)
def test_signals_save_and_leave_within_seconds(tmp_path_factory, tmp_path, name):
  arguments, whole, expected = whole_run(name, tmp_path_factory)
  folder = tmp_path / "run"
  command = (*arguments, f"--workdir={folder}")
  for sent in (signal.SIGTERM, signal.SIGINT):
    # Not before a row after step 0: a compilation may outlast a signal's patience.
    before = max(rows_written(folder), 1)
    process = start(*command)
    assert wait_for(lambda before=before: rows_written(folder) > before, process)
    process.send_signal(sent)
    sent_at = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + sent, stderr
    assert time.monotonic() - sent_at < 15  # a cold compile on a busy machine included
    assert "saved at step" in stderr and "same command" in stderr
    assert not (folder / "claims.json").exists()
  code, _, stderr = launch(*command)
  assert code == 0, stderr
  assert_equal_outcomes(outcome(folder), expected)
  assert_a_finished_run_does_nothing((*arguments, f"--workdir={whole}"), whole)


def assert_a_finished_run_does_nothing(command, folder):
  times = lambda: {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
  before = times()
  code, stdout, _ = launch(*command)
  assert code == 0
  assert "finished already" in stdout
  claims = json.loads((folder / "claims.json").read_text())
  assert all(claim["id"] in stdout for claim in claims)
  assert times() == before
