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
SLOW = ("levers", "carries", "CartPole", *NEEDS)
KILLS = 10


@pytest.fixture(
  scope="module",
  params=[
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXPERIMENTS
  ],
)
def uninterrupted(request, tmp_path_factory):
  if request.param in NEEDS:
    pytest.importorskip(NEEDS[request.param])
  folder = tmp_path_factory.mktemp("uninterrupted") / "run"
  code, _, stderr = launch(*EXPERIMENTS[request.param], f"--workdir={folder}")
  assert code == 0, stderr
  return EXPERIMENTS[request.param], outcome(folder)


def assert_equal_outcomes(ours, expected):
  assert list(ours) == list(expected)
  assert [name for name in expected if ours[name] != expected[name]] == []


@pytest.mark.parametrize(
  "uninterrupted",
  [
    name if name == "one fit" else pytest.param(name, marks=pytest.mark.slow)
    for name in EXPERIMENTS
  ],
  indirect=True,
)
def test_kill_9_at_random_moments_changes_no_byte(uninterrupted, tmp_path):
  arguments, expected = uninterrupted
  folder, rng = tmp_path / "run", random.Random(0)
  command = (*arguments, f"--workdir={folder}", "--save_seconds=0")
  inside_a_save = 0
  for kill in range(KILLS):
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
  assert inside_a_save >= 3
  code, _, stderr = launch(*command)
  assert code == 0, stderr
  assert "resuming at step" in stderr
  assert_equal_outcomes(outcome(folder), expected)


def is_training(folder):
  """Whether a row after step 0 is there: before it a compilation may outlast a signal's patience."""
  rows = folder / "metrics.jsonl"
  return rows.exists() and rows.read_bytes().count(b"\n") > 1


OFTEN = [("one fit", signal.SIGTERM), ("two fits", signal.SIGINT)]  # the other pairs are slow


@pytest.mark.parametrize(
  ("uninterrupted", "sent"),
  [
    pytest.param(name, sent, marks=() if (name, sent) in OFTEN else pytest.mark.slow)
    for name in EXPERIMENTS
    for sent in (signal.SIGTERM, signal.SIGINT)
  ],
  indirect=["uninterrupted"],
)
def test_a_signal_saves_and_leaves_within_seconds(uninterrupted, tmp_path, sent):
  arguments, expected = uninterrupted
  folder = tmp_path / "run"
  command = (*arguments, f"--workdir={folder}")
  process = start(*command)
  assert wait_for(lambda: is_training(folder), process)
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


def test_a_finished_run_says_so_and_does_nothing(tmp_path):
  folder = tmp_path / "run"
  command = (*TINY_TWO_LAYER, "--steps=60", f"--workdir={folder}")
  assert launch(*command)[0] == 0
  before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
  code, stdout, _ = launch(*command)
  assert code == 0
  assert "finished already" in stdout and "L07" in stdout
  assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_metrics_have_no_duplicate_missing_or_disordered_step(uninterrupted):
  _, expected = uninterrupted
  rows = [json.loads(line) for line in expected["metrics.jsonl"].splitlines()]
  for fit in {row["fit"] for row in rows}:
    steps = [row["step"] for row in rows if row["fit"] == fit]
    assert steps == sorted(set(steps)) and steps[0] == 0
