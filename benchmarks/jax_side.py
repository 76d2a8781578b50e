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

from research.lab import process

process.prepare_jax(collectives=False)  # before JAX is imported

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from research.compile import compile_learner, step_work, steps_per_call
from research.data import sampling
from research.flops import flops
from research.learner import predict, supervised
from research.losses import softmax_cross_entropy
from research.models.alexnet import ONE_GPU, AlexNet
from research.models.deep_convnet import DeepConvNet
from research.models.densenet import DenseNet
from research.models.googlenet import GoogLeNet
from research.models.lenet import LeNet
from research.models.mlp import MLP
from research.models.nin import NiN
from research.models.resnet import CifarResNet, ResNet
from research.models.simple_convnet import SimpleConvNet
from research.models.vgg import VGG
from research.optimizers import Optimizer, make_optimizer

MODELS = {
  "two_layer": lambda: MLP((50, CLASSES), activation=linen.sigmoid),
  "mlp": lambda: MLP((100, 100, 100, 100, CLASSES)),
  "simple_convnet": SimpleConvNet,
  "lenet": LeNet,
  "deep_convnet": lambda: DeepConvNet(dropout_rate=0.0, logit_dropout=False),
  "vgg11": lambda: VGG(11, width=8, hidden=128, classes=CLASSES, dropout_rate=0.0),
  "resnet20": CifarResNet,
  "alexnet": lambda: AlexNet(
    tuple(width // 8 for width in ONE_GPU), 1, False, 512, CLASSES, dropout_rate=0.0
  ),
  "nin": lambda: NiN(24, CLASSES, dropout_rate=0.0),
  "googlenet": lambda: GoogLeNet(
    8, CLASSES, "batch", torchvision=True, auxiliary=False, dropout_rate=0.0
  ),
  "resnet18": lambda: ResNet(18, 8, CLASSES),
  "densenet": lambda: DenseNet((3, 6, 12, 8), 8, 16, classes=CLASSES),
}


def in_order(model: linen.Module, image_shape: tuple[int, ...]) -> list[tuple[str, ...]]:
  """The paths of the parameters in the order in which the network makes, and so applies, them."""
  paths: list[tuple[str, ...]] = []

  def note(key: jax.Array) -> None:
    params = model.init(key, jnp.zeros((1, *image_shape)))["params"]
    paths.extend(flax.traverse_util.flatten_dict(params))

  jax.eval_shape(note, jax.random.key(0))
  return paths


def main() -> None:
  name, turn_seconds, file, work = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
  network = NETWORKS[name]
  learner = supervised(
    lambda _: MODELS[name](),
    softmax_cross_entropy,
    lambda _: network.image_shape,
    lambda config: make_optimizer(config, 1),
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

  params = flax.traverse_util.flatten_dict(state.params)
  weights = {
    f"{number:03d} {path[-1]}": np.asarray(params[path])
    for number, path in enumerate(in_order(MODELS[name](), network.image_shape))
  }
  positions = jnp.arange(network.batch_size)
  batches = [
    sampler.indices(key, EXAMPLES, step * network.batch_size + positions)
    for step in range(COMPARED_STEPS)
  ]
  np.savez(file, images=images, labels=labels, batches=np.stack(batches), **weights)

  steps = steps_per_call(step_work(learner, sampler, config, data), 512)
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
