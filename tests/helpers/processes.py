"""Runs of launch.py in processes of their own, and all that they leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from research.store.checkpoint import Checkpoints, exists

ROOT = Path(__file__).parents[2]
TINY_CONVNET = ("--experiment=digits_convnet", "--filters=4", "--hidden=16", "--epochs=50")
TINY_TWO_LAYER = (
  "--experiment=two_layer_net",
  "--dataset=digits",
  "--hidden=8",
  "--batch_size=25",
  "--steps=1200",
)

TINY_MEMORISATION = (
  "--experiment=memorisation",
  "--characters=4000",
  "--hidden=16",
  "--batch_size=8",
  "--steps=20000",
)
TINY_CARTPOLE = ("--experiment=dqn_cartpole", "--frames=200000", "--evaluation_episodes=4")
TINY_MINATAR = (
  "--experiment=dqn_minatar",
  "--frames=40000",
  "--evaluation_episodes=4",
  "--agent.replay_capacity=5000",
)
TINY_ATARI = (
  "--experiment=dqn_atari",
  "--game=breakout",
  "--frames=8000",
  "--evaluations=2",
  "--evaluation_episodes=1",
  "--agent.evaluation_epsilon=1",
  "--agent.replay_capacity=500",
  "--agent.min_replay_size=100",
  "--agent.batch_size=4",
  "--hidden=16",
)
TINY_GYMNASIUM = (
  "--experiment=dqn_gymnasium",
  "--game=CartPole-v1",
  "--frames=60000",
  "--evaluation_episodes=4",
  "--agent.replay_capacity=5000",
)


def environment(**changes):
  """This process's environment without the suite's eight devices."""
  inherited = {
    k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_NUMPY_RANK_PROMOTION")
  }
  return inherited | changes


def start(*arguments, **options):
  return subprocess.Popen(
    [sys.executable, str(ROOT / "launch.py"), *arguments],
    env=environment(**options.pop("env", {})),
    cwd=options.pop("cwd", ROOT),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def launch(*arguments, **options):
  """Runs to the end; returns (exit code, stdout, stderr)."""
  process = start(*arguments, **options)
  stdout, stderr = process.communicate(timeout=300)
  return process.returncode, stdout, stderr


def wait_for(condition, process, seconds=120):
  """Waits until the condition holds; False when the process ended first."""
  deadline = time.monotonic() + seconds
  while process.poll() is None:
    if condition():
      return True
    assert time.monotonic() < deadline, "nothing happened"
    time.sleep(0.002)
  return False


def steps_saved(folder):
  """Checkpoints there are, whole ones, by fit and step."""
  return {
    str(path.relative_to(folder))
    for path in folder.glob("checkpoints/*/[0-9]*")
    if path.name.isdigit()
  }


def saves_under_way(folder):
  return list(folder.glob("checkpoints/*/*.orbax-checkpoint-tmp*"))


def final_arrays(folder):
  """The arrays of the last and of the best checkpoint of every fit."""
  arrays = {}
  for fit in sorted((folder / "checkpoints").iterdir()):
    assert exists(fit)
    checkpoints = Checkpoints(fit, warn=lambda line: None)
    snapshot, best = checkpoints.latest(), checkpoints.best()
    checkpoints.close()
    arrays |= {
      f"{fit.name}/{kind}/{each.step}/{name}": array
      for kind, each in (("last", snapshot), ("best", best))
      for name, array in each.arrays.items()
    }
    arrays[f"{fit.name}/offset"] = np.asarray(snapshot.about["offset"])
  return arrays


def outcome(folder):
  """Every byte that equal runs must have in common."""
  files = [
    "metrics.jsonl",
    "claims.json",
    *(f"figures/{p.name}" for p in (folder / "figures").iterdir()),
  ]
  contents = {name: (folder / name).read_bytes() for name in sorted(files)}
  return contents | {
    name: (array.dtype.str, array.shape, array.tobytes())
    for name, array in final_arrays(folder).items()
  }
