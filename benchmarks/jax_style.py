# ruff: noqa: E402 - the environment must be set before JAX starts
"""Optimises a picture with the project's own step; a child of `style.py`.

python benchmarks/jax_style.py SIZE TURN_SECONDS FILE_FOR_NETWORK_AND_TARGETS
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from child import serve
from networks import COMPARED_STEPS

from research.lab import process

process.prepare_jax(collectives=False)  # before JAX is imported

import jax
import jax.numpy as jnp
import numpy as np

from experiments.vision import style_transfer
from research.compile import compile_learner
from research.config import replace
from research.training import on_device


def main() -> None:
  size, turn_seconds, file = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
  changes = {"size": size, "optimizer.name": "adam", "optimizer.learning_rate": 0.02}
  config = replace(style_transfer.Config(), changes)
  training = style_transfer.training(config, 0)
  program = compile_learner(training.learner, training.sampler, 1)
  config, data = program.place((on_device(config), dict(training.data)))
  state = jax.jit(training.learner.init)(config, jax.random.key(0))
  settings = {"ratio": config.ratio, "variation": config.variation}
  np.savez(file, pixels=state.params, **settings, **training.data)
  key, losses = jax.random.key(1), []

  def train() -> int:
    nonlocal state
    made = jnp.int32(len(losses))
    state, metrics = program.steps(1, config, state, data, key, made)
    losses.extend(map(float, metrics["loss"]))
    return 1

  while len(losses) < COMPARED_STEPS:
    train()
  serve({"losses": losses[:COMPARED_STEPS]}, train, turn_seconds)


if __name__ == "__main__":
  main()
