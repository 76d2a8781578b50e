"""Trains one network with PyTorch; a child of `training.py`.

python benchmarks/torch_side.py NETWORK TURN_SECONDS FILE WORK VARIANT THREADS
where FILE holds weights and batches, WORK is "step" or "forward", and VARIANT is nchw or
channels_last, with "+compile" for torch.compile.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from child import seconds_since_process_start, serve
from networks import COMPARED_STEPS, EXAMPLES, LEARNING_RATE, MOMENTUM, NETWORKS
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.parity import peers  # the networks that ours are compared with, weight by weight


def perceptron(*sizes, activation):
  layers = [nn.Flatten()]
  for before, after in itertools.pairwise(sizes):
    layers += [nn.Linear(before, after), activation()]
  return nn.Sequential(*layers[:-1])


MODELS = {
  "two_layer": lambda: perceptron(784, 50, 10, activation=nn.Sigmoid),
  "mlp": lambda: perceptron(784, 100, 100, 100, 100, 10, activation=nn.ReLU),
  "simple_convnet": lambda: nn.Sequential(
    *(nn.Conv2d(1, 30, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(4320, 100), nn.ReLU(), nn.Linear(100, 10)),
  ),
  "lenet": lambda: peers.lenet(10),
  "deep_convnet": lambda: peers.deep_convnet(16, 50, 10),
  "vgg11": lambda: peers.vgg((1, 1, 2, 2, 2), 8, 128, 10, pooled=1),
  "resnet20": lambda: peers.ResNet((3, 3, 3), 16, 10, cifar=True),
  "alexnet": lambda: peers.alexnet((8, 24, 48, 32, 32), 1, False, 512, 10, pooled=2),
  "nin": lambda: peers.nin(24, 10),
  "googlenet": lambda: peers.GoogLeNet(8, 10, as_torchvision=True, batch_norm=True, heads=False),
  "resnet18": lambda: peers.ResNet((2, 2, 2, 2), 8, 10),
  "densenet": lambda: peers.DenseNet((3, 6, 12, 8), 8, 16, 10),
}


def load(model, file, image):
  """Gives the model JAX's initial weights, which come in the order in which layers are applied."""
  names = sorted(name for name in file.files if name[0].isdigit())
  weights = iter([(name.split()[1], file[name]) for name in names])
  maps = image.shape[1:]  # channels, height and width of what was computed last

  def fill(module, inputs, output):
    nonlocal maps
    if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
      for _ in module.parameters():
        kind, array = next(weights)
        if kind == "kernel" and array.ndim == 4:  # HWIO
          array = array.transpose(3, 2, 0, 1)
        elif kind == "kernel":
          if array.shape[0] == np.prod(maps):  # a flattened image: HWC there, CHW here
            array = array.reshape(*maps[1:], maps[0], -1).transpose(2, 0, 1, 3)
            array, maps = array.reshape(-1, array.shape[-1]), ()
          array = array.T
        parameter = getattr(module, "bias" if kind == "bias" else "weight")
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    maps = output.shape[1:] if output.ndim == 4 else maps

  hooks = [module.register_forward_hook(fill) for module in model.modules()]
  with torch.no_grad():
    model.eval()(image)
  for hook in hooks:
    hook.remove()
  model.train()
  assert next(weights, None) is None


def main():
  name, turn_seconds, path, work, variant, threads = sys.argv[1:7]
  torch.set_num_threads(int(threads))
  network = NETWORKS[name]
  file = np.load(path)
  images = torch.from_numpy(np.ascontiguousarray(file["images"].transpose(0, 3, 1, 2)))
  labels = torch.from_numpy(file["labels"])
  model = MODELS[name]()
  load(model, file, images[:1].float())
  layout = torch.channels_last if variant.startswith("channels_last") else torch.contiguous_format
  model = model.to(memory_format=layout)
  images = images.contiguous(memory_format=layout)
  optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
  loss_of = lambda x, y: F.cross_entropy(model(x), y)
  if variant.endswith("+compile"):
    loss_of = torch.compile(loss_of)
  batches = [torch.from_numpy(batch.astype(np.int64)) for batch in file["batches"]]

  def step(chosen):
    x = (images[chosen].float() / 255).contiguous(memory_format=layout)
    optimizer.zero_grad()
    loss = loss_of(x, labels[chosen])
    loss.backward()
    optimizer.step()
    return loss.detach()

  started = time.perf_counter()
  losses = [float(step(batches[0]))]
  first = {
    "first_step_seconds": seconds_since_process_start(),
    "compile_seconds": time.perf_counter() - started,
  }
  losses += [float(step(batch)) for batch in batches[1:COMPARED_STEPS]]
  made = 0
  epoch = torch.randperm(EXAMPLES)

  def train():
    nonlocal made, epoch
    at = made * network.batch_size % EXAMPLES
    if at + network.batch_size > EXAMPLES:
      at, epoch = 0, torch.randperm(EXAMPLES)
    step(epoch[at : at + network.batch_size])
    made += 1
    return 1

  def answer():
    with torch.no_grad():
      model((images[batches[0]].float() / 255).contiguous(memory_format=layout))
    return 1

  if work == "forward":
    model.eval()
  run = answer if work == "forward" else train
  serve(first | {"losses": losses}, run, float(turn_seconds))


main()
