"""How fast the DQN agent acts and learns: CartPole at two peers' settings, and ours.

    python benchmarks/dqn.py

The settings are those of the peers' own DQN scripts for CartPole-v1: both learn from 128
transitions once every 10 steps, Adam, 120 and 84 hidden units (purejaxrl's network: see below).
CleanRL acts in one environment, purejaxrl in ten side by side. A turn is one dispatch of our own
`research.compile`, which acts, stores, samples and learns; turns of the settings alternate.
"""

import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TURNS, UPDATES = 5, 500
LARGE = {"agent.capacity": 10_000, "agent.batch_size": 128, "agent.n_step": 1}
SETTINGS = {
  "CleanRL's: 1 environment, 128 transitions every 10 steps": LARGE
  | {"agent.environments": 1, "agent.steps_per_update": 10},
  "purejaxrl's: 10 environments, 128 transitions every 10 steps": LARGE,
  "ours: 10 environments, 64 transitions every 10 steps, n = 10": {},
}


def main():
  sys.path.insert(0, str(ROOT))
  from research.lab import environment

  environment.prepare_jax(collectives=False)
  import jax
  import numpy as np

  from experiments.reinforcement import dqn_cartpole
  from research.compile import compile_learner
  from research.config import replace
  from research.data.sampling import without_data
  from research.lab.fit import on_device
  from research.rl.agent import frames_per_step

  programs = {}
  for name, changes in SETTINGS.items():
    config = on_device(replace(dqn_cartpole.Config(), changes))
    program = compile_learner(dqn_cartpole.learner, without_data(), 1)
    state = jax.jit(dqn_cartpole.learner.init)(config, jax.random.key(0))
    began = time.perf_counter()
    state, metrics = program.steps(UPDATES, config, state, {}, jax.random.key(1), np.int32(0))
    jax.block_until_ready(metrics)
    print(f"{name}: first dispatch {time.perf_counter() - began:.1f} s", flush=True)
    programs[name] = [program, config, state, []]
  for turn in range(1, TURNS + 1):
    for entry in programs.values():
      program, config, state, times = entry
      wall, cpu = time.perf_counter(), time.process_time()
      first = np.int32(turn * UPDATES)
      state, metrics = program.steps(UPDATES, config, state, {}, jax.random.key(1), first)
      jax.block_until_ready(metrics)
      times.append((time.perf_counter() - wall, time.process_time() - cpu))
      entry[2] = state
  load = os.getloadavg()[0]
  for name, (_, config, _, times) in programs.items():
    frames = UPDATES * frames_per_step(config.agent)
    wall, cpu = (frames / statistics.median(column) for column in zip(*times, strict=True))
    best = frames / min(seconds for seconds, _ in times)
    print(
      f"{name}: {wall:,.0f} steps/s (best {best:,.0f}; {cpu:,.0f} a second of processor time; "
      f"load {load:.1f})"
    )


if __name__ == "__main__":
  main()
