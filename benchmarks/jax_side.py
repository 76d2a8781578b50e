# ruff: noqa: E402 - the environment must be set before JAX starts
"""Trains one network with the project's own step; a child of `training.py`.

python benchmarks/jax_side.py NETWORK TURN_SECONDS FILE_FOR_WEIGHTS_AND_BATCHES WORK
where WORK is "step" or "forward".
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from child import seconds_since_process_start, serve
from networks import CLASSES, COMPARED_STEPS, EXAMPLES, LEARNING_RATE, MOMENTUM, NETWORKS

from research.lab import environment

environment.prepare_jax(collectives=False)  # before JAX is imported

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from research.compile import compile_learner, step_work, steps_per_dispatch
from research.data import sampling
from research.flops import flops
from research.learner import predict, supervised
from research.losses import softmax_cross_entropy
from research.models.deep_convnet import DeepConvNet
from research.models.lenet import LeNet
from research.models.mlp import MLP
from research.models.resnet import CifarResNet
from research.models.simple_convnet import SimpleConvNet
from research.models.vgg import VGG
from research.optimizers import Optimizer, make

MODELS = {
  "two_layer": lambda: MLP((50, CLASSES), activation=linen.sigmoid),
  "mlp": lambda: MLP((100, 100, 100, 100, CLASSES)),
  "simple_convnet": SimpleConvNet,
  "lenet": LeNet,
  "deep_convnet": lambda: DeepConvNet(dropout_rate=0.0, logit_dropout=False),
  "vgg11": lambda: VGG(11, width=8, hidden=128, classes=CLASSES, dropout_rate=0.0),
  "resnet20": CifarResNet,
}


def order(path: tuple) -> list[tuple[int, int, bool]]:
  """Sorts a network's layers as they are applied: normalised convolutions, blocks, dense layers."""
  layers = [key.key.rsplit("_", 1) for key in path[:-1]]
  return [
    (kind == "BasicBlock" or 2 * (kind == "Dense"), int(number), kind == "BatchNorm")
    for kind, number in layers
  ]


def main() -> None:
  name, turn_seconds, file, work = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
  network = NETWORKS[name]
  learner = supervised(
    lambda _: MODELS[name](),
    softmax_cross_entropy,
    lambda _: network.image_shape,
    lambda config: make(config, 1),
    metrics={},
  )
  config = Optimizer(name="momentum", learning_rate=LEARNING_RATE, momentum=MOMENTUM)
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (EXAMPLES, *network.image_shape), np.uint8)
  labels = draw.integers(0, CLASSES, EXAMPLES)
  sampler = sampling.by_epoch(network.batch_size)
  program = compile_learner(learner, sampler, network.batch_size)
  config, data = program.place((config, {"image": images, "label": labels}))
  key = jax.random.key(1)
  state = jax.jit(learner.init)(config, jax.random.key(0))

  leaves = jax.tree_util.tree_flatten_with_path(state.params)[0]
  leaves.sort(key=lambda leaf: order(leaf[0]))
  weights = {
    f"{number:03d} {path[-1].key}": np.asarray(leaf) for number, (path, leaf) in enumerate(leaves)
  }
  positions = jnp.arange(network.batch_size)
  batches = [
    sampler.indices(key, EXAMPLES, step * network.batch_size + positions)
    for step in range(COMPARED_STEPS)
  ]
  np.savez(file, images=images, labels=labels, batches=np.stack(batches), **weights)

  steps = steps_per_dispatch(step_work(learner, sampler, config, data), 512)
  compiling = time.perf_counter()
  lowered = program.steps.lower(steps, config, state, data, key, jnp.int32(0))
  run = lowered.compile()
  compiled = time.perf_counter() - compiling
  state, metrics = run(config, state, data, key, jnp.int32(0))
  losses = [float(loss) for loss in metrics["loss"]]
  first = {"first_step_seconds": seconds_since_process_start(), "compile_seconds": compiled}
  made = steps

  def train() -> int:
    nonlocal state, made
    state, metrics = run(config, state, data, key, jnp.int32(made))
    losses.extend(map(float, metrics["loss"]))
    made += steps
    return steps

  while len(losses) < COMPARED_STEPS:
    train()
  operations = step_work(learner, sampler, config, data)
  about = {"losses": losses[:COMPARED_STEPS], "steps_per_dispatch": steps}
  if work == "forward":
    batch = {"image": data["image"][: network.batch_size]}
    answer = jax.jit(lambda state, batch: predict(MODELS[name](), state, batch))
    operations = flops(jax.make_jaxpr(answer)(state, batch).jaxpr)

    def run_forward() -> int:
      jax.block_until_ready(answer(state, batch))
      return 1

    run_forward()
    serve(first | about | {"operations": operations}, run_forward, turn_seconds)
  else:
    serve(first | about | {"operations": operations}, train, turn_seconds)


main()
