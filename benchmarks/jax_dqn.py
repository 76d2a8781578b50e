# ruff: noqa: E402 - the environment must be set before JAX starts
"""Our DQN agent, acting and learning in CartPole; run by `dqn.py`."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from child import serve

from research.lab import process

process.prepare_jax(collectives=False)  # before JAX is imported

import jax
import numpy as np

from experiments.reinforcement import dqn_cartpole
from research.compile import compile_learner
from research.config import replace
from research.data.sampling import without_data
from research.rl.agent import frames_per_step
from research.rl.dqn import dqn
from research.training import on_device

UPDATES = 500  # of one dispatch


def main() -> None:
  turn_seconds, changes = float(sys.argv[1]), json.loads(sys.argv[2])
  config = replace(dqn_cartpole.Config(), changes)
  frames = frames_per_step(config.agent)
  config = on_device(config)
  learner = dqn(dqn_cartpole.AGENT)
  program = compile_learner(learner, without_data(), 1)
  state = jax.jit(learner.init)(config, jax.random.key(0))
  made = 0

  def train() -> int:
    nonlocal state, made
    state, metrics = program.steps(
      UPDATES, config, state, {}, jax.random.key(1), np.int32(made * UPDATES)
    )
    jax.block_until_ready(metrics)
    made += 1
    return UPDATES * frames

  while made * UPDATES * frames < config.agent.min_replay_size + UPDATES * frames:
    train()
  serve({}, train, turn_seconds)


main()
