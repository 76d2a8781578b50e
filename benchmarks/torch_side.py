"""Trains one network with PyTorch; a child of `training.py`.

python benchmarks/torch_side.py NETWORK TURN_SECONDS FILE WORK VARIANT THREADS
where FILE holds weights and batches, WORK is "step" or "forward", and VARIANT is nchw or
channels_last, with "+compile" for torch.compile.
"""

import itertools
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from child import seconds_since_process_start, serve
from networks import COMPARED_STEPS, EXAMPLES, LEARNING_RATE, MOMENTUM, NETWORKS
from torch import nn


class Block(nn.Module):
  """ResNet's basic block with option A shortcuts."""

  def __init__(self, before, features, stride):
    super().__init__()
    self.conv1 = nn.Conv2d(before, features, 3, stride, 1, bias=False)
    self.norm1 = nn.BatchNorm2d(features)
    self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
    self.norm2 = nn.BatchNorm2d(features)
    self.stride, self.pad = stride, (features - before) // 2

  def forward(self, x):
    y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
    if self.pad:
      x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
    return F.relu(y + x)


def perceptron(*sizes, activation):
  layers = [nn.Flatten()]
  for before, after in itertools.pairwise(sizes):
    layers += [nn.Linear(before, after), activation()]
  return nn.Sequential(*layers[:-1])


def resnet20():
  layers, before = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
  for features in (16, 32, 64):
    for _ in range(3):
      layers.append(Block(before, features, 1 if before == features else 2))
      before = features
  return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def deep_convnet():
  layers, before = [], 1
  for features, padding in ((16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1)):
    is_first = len(layers) % 5 == 0
    layers += [nn.Conv2d(before, features, 3, padding=padding), nn.ReLU()]
    layers += [] if is_first else [nn.MaxPool2d(2)]
    before = features
  return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 50), nn.ReLU(), nn.Linear(50, 10))


def vgg11():
  layers, before = [], 3
  for stage in ((8,), (16,), (32, 32), (64, 64), (64, 64)):
    for features in stage:
      layers += [nn.Conv2d(before, features, 3, padding=1), nn.ReLU()]
      before = features
    layers.append(nn.MaxPool2d(2))
  dense = perceptron(64, 128, 128, 10, activation=nn.ReLU)
  return nn.Sequential(*layers, *dense)


MODELS = {
  "two_layer": lambda: perceptron(784, 50, 10, activation=nn.Sigmoid),
  "mlp": lambda: perceptron(784, 100, 100, 100, 100, 10, activation=nn.ReLU),
  "simple_convnet": lambda: nn.Sequential(
    *(nn.Conv2d(1, 30, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(4320, 100), nn.ReLU(), nn.Linear(100, 10)),
  ),
  "lenet": lambda: nn.Sequential(
    *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
    *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
    *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
  ),
  "deep_convnet": deep_convnet,
  "vgg11": vgg11,
  "resnet20": resnet20,
}


def load(model, file):
  """Gives the model JAX's initial weights; its layers stand in the same order."""
  weights = [file[name] for name in sorted(file.files) if name[0].isdigit()]
  names = [name.split()[1] for name in sorted(file.files) if name[0].isdigit()]
  named, channels = iter(zip(names, weights, strict=True)), 0
  for module in model.modules():
    parameters = {"bias": None, "weight": None}
    if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
      continue
    for _ in range(sum(1 for _ in module.parameters())):
      name, array = next(named)
      if name == "kernel" and array.ndim == 4:  # HWIO
        channels = array.shape[3]
        array = array.transpose(3, 2, 0, 1)
      elif name == "kernel":
        if channels > 1 and array.shape[0] > channels:  # the flattened image: HWC there, CHW here
          side = int((array.shape[0] / channels) ** 0.5)
          array = array.reshape(side, side, channels, -1).transpose(2, 0, 1, 3)
          array = array.reshape(-1, array.shape[-1])
        channels, array = 0, array.T
      parameters["bias" if name == "bias" else "weight"] = array
    for name, array in parameters.items():
      if array is not None:
        with torch.no_grad():
          getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(array)))
  assert next(named, None) is None


def main():
  name, turn_seconds, path, work, variant, threads = sys.argv[1:7]
  torch.set_num_threads(int(threads))
  network = NETWORKS[name]
  file = np.load(path)
  images = torch.from_numpy(np.ascontiguousarray(file["images"].transpose(0, 3, 1, 2)))
  labels = torch.from_numpy(file["labels"])
  model = MODELS[name]()
  load(model, file)
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
