# ruff: noqa: E402 - the environment must be set before JAX starts
"""Trains one sequence net with the project's own step; a child of `sequences.py`.

python benchmarks/jax_sequences.py NETWORK TURN_SECONDS FILE_FOR_WEIGHTS_AND_BATCHES
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import sequence_networks as sizes
from child import serve
from networks import COMPARED_STEPS, LEARNING_RATE, MOMENTUM

from research.lab import process

process.prepare_jax(collectives=False)  # before JAX is imported

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from research.batch import pair_inputs, text_inputs
from research.compile import compile_learner, step_work, steps_per_call
from research.data import sampling
from research.learner import supervised
from research.losses import token_cross_entropy
from research.models.language_model import LanguageModel
from research.models.transformer import Transformer
from research.optimizers import Optimizer, make_optimizer


class Logits(linen.Module):
  """The language model, begun anew with every segment."""

  @linen.compact
  def __call__(self, tokens, train=False):
    model = LanguageModel(sizes.VOCABULARY, sizes.EMBEDDING, sizes.UNITS)
    return model(tokens, train=train)[0]


def transformer():
  vocabularies = (sizes.VOCABULARY, sizes.VOCABULARY)
  shape = (sizes.LAYERS, sizes.FEATURES, sizes.HEADS, sizes.HIDDEN, sizes.LONGEST)
  return Transformer(*vocabularies, *shape, pre_norm=True)


PARTS = {"lstm": (Logits, text_inputs), "transformer": (transformer, pair_inputs)}


def main() -> None:
  name, turn_seconds, file = sys.argv[1], float(sys.argv[2]), sys.argv[3]
  network, (model, inputs) = sizes.NETWORKS[name], PARTS[name]
  tokens = np.random.default_rng(0).integers(
    1, sizes.VOCABULARY, (sizes.EXAMPLES, sum(network.places)), np.int32
  )
  source, target = np.split(tokens, [network.places[0]], axis=1)
  examples = {"source": source, "target": target}
  one = {key: jax.ShapeDtypeStruct(array.shape[1:], array.dtype) for key, array in examples.items()}
  learner = supervised(
    lambda _: model(),
    token_cross_entropy,
    lambda _: one["target"] if name == "lstm" else (one["source"], one["target"]),
    lambda config: make_optimizer(config, 1),
    metrics={},
    inputs=inputs,
  )
  config = Optimizer(name="momentum", learning_rate=LEARNING_RATE, momentum=MOMENTUM)
  sampler = sampling.by_epoch(network.batch_size)
  program = compile_learner(learner, sampler, network.batch_size)
  config, data = program.place((config, examples))
  key = jax.random.key(1)
  state = jax.jit(learner.init)(config, jax.random.key(0))
  weights = {
    "/".join(part.key for part in path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.params)[0]
  }
  positions = jnp.arange(network.batch_size)
  batches = [
    sampler.indices(key, sizes.EXAMPLES, step * network.batch_size + positions)
    for step in range(COMPARED_STEPS)
  ]
  np.savez(file, batches=np.stack(batches), **examples, **weights)
  steps = steps_per_call(step_work(learner, sampler, config, data), 512)
  losses: list[float] = []
  made = 0

  def train() -> int:
    nonlocal state, made
    state, metrics = program.steps(steps, config, state, data, key, jnp.int32(made))
    losses.extend(map(float, metrics["loss"]))
    made += steps
    return steps

  while len(losses) < COMPARED_STEPS:
    train()
  serve({"losses": losses[:COMPARED_STEPS]}, train, turn_seconds)


main()
