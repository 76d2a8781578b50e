"""Optimises a picture with PyTorch's own functions; a child of `style.py`.

python benchmarks/torch_style.py SIZE TURN_SECONDS FILE_WITH_NETWORK_AND_TARGETS THREADS
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from child import serve
from networks import COMPARED_STEPS


def main() -> None:
  turn_seconds, threads = float(sys.argv[2]), int(sys.argv[4])
  torch.set_num_threads(threads)
  with np.load(sys.argv[3]) as file:
    held = {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
  of_kind = lambda kind: {n.split("/")[1]: v[0] for n, v in held.items() if n.startswith(kind)}
  content = {name: maps.permute(2, 0, 1)[None] for name, maps in of_kind("content/").items()}
  style = of_kind("style/")
  layers = sorted(name.removesuffix("/kernel") for name in held if name.endswith("/kernel"))
  last = torch.channels_last
  kernels = {
    name: held[f"{name}/kernel"][0].permute(3, 2, 0, 1).contiguous(memory_format=last)
    for name in layers
  }
  biases = {name: held[f"{name}/bias"][0] for name in layers}
  mean, deviation = (held[name].reshape(1, 3, 1, 1) for name in ("mean", "deviation"))
  pixels = held["pixels"].permute(0, 3, 1, 2).contiguous(memory_format=last).requires_grad_()
  ratio, variation = float(held["ratio"]), float(held["variation"])
  adam = torch.optim.Adam([pixels], lr=0.02)
  losses: list[float] = []

  def loss_of(pixels: torch.Tensor) -> torch.Tensor:
    x, contents, styles = (pixels - mean) / deviation, [], []
    for name in layers:
      if name.endswith("_1") and name != "conv1_1":
        x = F.avg_pool2d(x, 2)
      x = F.relu(F.conv2d(x, kernels[name], biases[name], padding=1))
      if name in content:
        contents.append(0.5 * ((x - content[name]) ** 2).sum())
      if name in style:
        features = x[0].flatten(1)
        channels, places = features.shape
        apart = (features @ features.T - style[name]) / (2 * channels * places)
        styles.append((apart**2).sum())
    rough = (pixels.diff(dim=2) ** 2).sum() + (pixels.diff(dim=3) ** 2).sum()
    return sum(contents) / len(contents) + sum(styles) / len(styles) / ratio + variation * rough

  def train() -> int:
    adam.zero_grad()
    loss = loss_of(pixels)
    loss.backward()
    adam.step()
    losses.append(float(loss.detach()))
    return 1

  while len(losses) < COMPARED_STEPS:
    train()
  serve({"losses": losses[:COMPARED_STEPS]}, train, turn_seconds)


if __name__ == "__main__":
  main()
