"""Three races of the lessons as whole processes, beside the textbook's method in plain NumPy.

python benchmarks/numpy_ports.py [--races=init_race,bn_scales] [--turns=2] [--options=--lanes=vmap]
python benchmarks/numpy_ports.py --port=init_race     the port alone

A turn starts four processes, one after the other: this project's own command with an empty compile
cache, the port, the command again with the cache that it has filled, and the port in float32 (the
book computes in float64, NumPy's default). All train the same nets on the same data as
often, `--repeats` of each kind. The command also writes its checkpoints, its figure and its report.
"""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from absl import app, flags

from research.data import sets

ROOT = Path(__file__).parent.parent
RACES = ("bn_scales", "optimizer_race", "init_race")
FLAGS = flags.FLAGS
flags.DEFINE_list("races", list(RACES), "which races: " + ", ".join(RACES))
flags.DEFINE_integer("turns", 2, "turns of each side", lower_bound=1)
flags.DEFINE_integer(
  "repeats", 1, "nets of each kind; a port trains them one by one", lower_bound=1
)
flags.DEFINE_string("options", "", "further flags for the command")
flags.DEFINE_enum("port", None, RACES, "run only this port, and print what it reached")
flags.DEFINE_enum("dtype", "float64", ("float64", "float32"), "of the port")
flags.register_validator(
  "races", lambda names: set(names) <= set(RACES), "allowed: " + ", ".join(RACES)
)

Params = list[dict[str, np.ndarray]]  # of each layer
Update = Callable[[str, np.ndarray, np.ndarray], None]  # of a parameter's name, value and gradient
EPSILON = 1e-7


class Net:
  """Dense layers with ReLU, perhaps normalised before it; the textbook's backward pass."""

  def __init__(
    self, sizes: list[int], deviations: list[float], *, normalised: bool, dtype: str, seed: int = 0
  ):
    rng = np.random.default_rng(seed)
    self.params: Params = []
    self.running: list[np.ndarray] = []  # means and variances of each layer
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
      own = {
        "w": (deviations[layer] * rng.standard_normal((rows, columns))).astype(dtype),
        "b": np.zeros(columns, dtype),
      }
      if normalised and layer < len(sizes) - 2:
        own |= {"gamma": np.ones(columns, dtype), "beta": np.zeros(columns, dtype)}
        self.running.append(np.stack([np.zeros(columns, dtype), np.ones(columns, dtype)]))
      self.params.append(own)

  def logits(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, list[Any]]:
    """What the net says, and what its layers keep for the way back."""
    kept: list[Any] = []
    for layer, own in enumerate(self.params):
      z, normal = x @ own["w"] + own["b"], None
      if "gamma" in own:
        if train:
          mean, variance = z.mean(axis=0), z.var(axis=0)
          self.running[layer] = 0.9 * self.running[layer] + 0.1 * np.stack([mean, variance])
        else:
          mean, variance = self.running[layer]
        deviation = np.sqrt(variance + 1e-6)
        normal = ((z - mean) / deviation, deviation)
        z = own["gamma"] * normal[0] + own["beta"]
      kept.append((x, z, normal))
      x = np.maximum(z, 0) if layer < len(self.params) - 1 else z
    return x, kept

  def gradients(self, x: np.ndarray, label: np.ndarray) -> Params:
    """Of the mean cross-entropy, by all parameters."""
    logits, kept = self.logits(x, train=True)
    back = softmax(logits)
    back[np.arange(len(x)), label] -= 1
    back /= len(x)
    found: Params = []
    for layer in reversed(range(len(self.params))):
      own, (inputs, z, normal) = self.params[layer], kept[layer]
      gradient = {}
      if layer < len(self.params) - 1:
        back = back * (z > 0)
      if normal is not None:
        values, deviation = normal
        gradient = {"gamma": (back * values).sum(axis=0), "beta": back.sum(axis=0)}
        back = back * own["gamma"]
        back = (back - back.mean(axis=0) - values * (back * values).mean(axis=0)) / deviation
      gradient |= {"w": inputs.T @ back, "b": back.sum(axis=0)}
      back = back @ own["w"].T
      found.insert(0, gradient)
    return found

  def learn(self, x: np.ndarray, label: np.ndarray, update: Update) -> None:
    """One update of all parameters, in place."""
    for layer, gradient in enumerate(self.gradients(x, label)):
      for name, g in gradient.items():
        update(f"{name}{layer}", self.params[layer][name], g)

  def loss(self, x: np.ndarray, label: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    chosen = softmax(self.logits(x)[0])[np.arange(len(x)), label]
    return float(-np.log(chosen + EPSILON).mean())

  def accuracy(self, x: np.ndarray, label: np.ndarray) -> float:
    """Share of the images whose class is found."""
    return float((self.logits(x)[0].argmax(axis=1) == label).mean())


def softmax(logits: np.ndarray) -> np.ndarray:
  """Probabilities, row by row."""
  powers = np.exp(logits - logits.max(axis=1, keepdims=True))
  return powers / powers.sum(axis=1, keepdims=True)


def sgd(rate: float) -> Update:
  """Down the gradient."""

  def update(name: str, p: np.ndarray, g: np.ndarray) -> None:
    p -= rate * g

  return update


def momentum(rate: float, *, nesterov: bool = False) -> Update:
  """A velocity that keeps nine tenths of itself."""
  memory: dict[str, np.ndarray] = {}

  def update(name: str, p: np.ndarray, g: np.ndarray) -> None:
    v = memory.setdefault(name, np.zeros_like(p))
    v *= 0.9
    v -= rate * g
    p += 0.9 * v - rate * g if nesterov else v

  return update


def adagrad(rate: float) -> Update:
  """Rates fall with the squares of the gradients so far."""
  memory: dict[str, np.ndarray] = {}

  def update(name: str, p: np.ndarray, g: np.ndarray) -> None:
    h = memory.setdefault(name, np.zeros_like(p))
    h += g * g
    p -= rate * g / (np.sqrt(h) + EPSILON)

  return update


def rmsprop(rate: float) -> Update:
  """As AdaGrad, but old gradients are forgotten."""
  memory: dict[str, np.ndarray] = {}

  def update(name: str, p: np.ndarray, g: np.ndarray) -> None:
    h = memory.setdefault(name, np.zeros_like(p))
    h *= 0.99
    h += 0.01 * g * g
    p -= rate * g / (np.sqrt(h) + EPSILON)

  return update


def adam(rate: float) -> Update:
  """Means of the gradient and of its square, freed of their start at zero."""
  memory: dict[str, list[Any]] = {}

  def update(name: str, p: np.ndarray, g: np.ndarray) -> None:
    of = memory.setdefault(name, [np.zeros_like(p), np.zeros_like(p), 0])
    m, v, of[2] = of[0], of[1], of[2] + 1
    m += 0.1 * (g - m)
    v += 0.001 * (g * g - v)
    corrected = rate * np.sqrt(1 - 0.999 ** of[2]) / (1 - 0.9 ** of[2])
    p -= corrected * m / (np.sqrt(v) + EPSILON)

  return update


Entrant = tuple[Net, Update]


def race(entrants: dict[str, Entrant], dtype: str) -> dict[str, float]:
  """2,000 batches of 128 for all; the mean loss of the last 200, each after learning from it."""
  splits = sets.load("mnist")
  (x, label), (x_test, label_test) = (flat(arrays, dtype) for arrays in (splits.train, splits.test))
  rng = np.random.default_rng(1)
  losses: dict[str, list[float]] = {name: [] for name in entrants}
  for _ in range(2000):
    rows = rng.choice(len(x), 128)
    for name, (net, update) in entrants.items():
      net.learn(x[rows], label[rows], update)
      losses[name].append(net.loss(x[rows], label[rows]))
  found = {name: float(np.mean(values[-200:])) for name, values in losses.items()}
  for name, (net, _) in entrants.items():
    found[f"{name}, test accuracy"] = net.accuracy(x_test, label_test)
  return found


def port_of_init_race(dtype: str) -> dict[str, float]:
  """Deviations 0.01, sqrt(1/n) and sqrt(2/n)."""
  sizes = [784, 100, 100, 100, 100, 10]
  rules = {
    "std 0.01": [0.01] * 5,
    "Xavier": [n**-0.5 for n in sizes],
    "He": [(2 / n) ** 0.5 for n in sizes],
  }
  entrants = {
    name: (Net(sizes, deviations, normalised=False, dtype=dtype), sgd(0.01))
    for name, deviations in rules.items()
  }
  return race(entrants, dtype)


def port_of_optimizer_race(dtype: str) -> dict[str, float]:
  """Six rules, from the same weights."""
  sizes = [784, 100, 100, 100, 100, 10]
  rules = {
    "SGD": sgd(0.01),
    "Momentum": momentum(0.01),
    "Nesterov": momentum(0.01, nesterov=True),
    "AdaGrad": adagrad(0.01),
    "RMSProp": rmsprop(0.01),
    "Adam": adam(0.001),
  }
  he = [(2 / n) ** 0.5 for n in sizes]
  entrants = {
    name: (Net(sizes, he, normalised=False, dtype=dtype), rule) for name, rule in rules.items()
  }
  return race(entrants, dtype)


def port_of_bn_scales(dtype: str) -> dict[str, float]:
  """Two nets at each of 16 scales, 190 batches of 100; accuracies on 1,000 images all ten."""
  sizes = [784, *[100] * 5, 10]
  x, label = (array[:1000] for array in flat(sets.load("mnist").train, dtype))
  rng, update = np.random.default_rng(1), sgd(0.01)
  found = {}
  for scale in np.logspace(0, -4, 16):
    nets = {
      f"{kind} {scale:.2g}": Net(sizes, [scale] * 6, normalised=kind == "BN", dtype=dtype)
      for kind in ("BN", "plain")
    }
    for step in range(191):
      if step % 10 == 0:
        found |= {name: net.accuracy(x, label) for name, net in nets.items()}
      rows = rng.choice(len(x), 100)
      for net in nets.values() if step < 190 else ():
        net.learn(x[rows], label[rows], update)
  return found


PORTS = {
  "bn_scales": port_of_bn_scales,
  "optimizer_race": port_of_optimizer_race,
  "init_race": port_of_init_race,
}


def flat(arrays: dict[str, np.ndarray], dtype: str) -> tuple[np.ndarray, np.ndarray]:
  """Rows of pixels from 0 to 1, and labels."""
  image = arrays["image"]
  return image.reshape(len(image), -1).astype(dtype) / np.dtype(dtype).type(255), arrays["label"]


def seconds(command: list[str], **settings: str) -> float:
  """Wall time of a whole process."""
  started = time.perf_counter()
  subprocess.run(
    [sys.executable, *command],
    env=os.environ | settings,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    check=True,
  )
  return time.perf_counter() - started


def compare(name: str, turns: int, options: list[str]) -> dict[str, list[float]]:
  """Seconds of all turns, by side."""
  times: dict[str, list[float]] = {"cold": [], "NumPy": [], "warm": [], "NumPy float32": []}
  for _ in range(turns):
    with tempfile.TemporaryDirectory() as folder:
      ours = lambda number: seconds(
        [str(ROOT / "launch.py"), f"--experiment={name}", f"--repeats={FLAGS.repeats}",
         f"--workdir={folder}/{number}", *options],
        JAX_COMPILATION_CACHE_DIR=f"{folder}/xla",
      )  # fmt: skip
      port = lambda dtype: seconds(
        [__file__, f"--port={name}", f"--dtype={dtype}", f"--repeats={FLAGS.repeats}"]
      )
      times["cold"].append(ours(1))
      times["NumPy"].append(port("float64"))
      times["warm"].append(ours(2))
      times["NumPy float32"].append(port("float32"))
  return times


def main(argv: list[str]) -> None:
  """Prints what a port reached, or the table."""
  if len(argv) > 1:
    raise app.UsageError(f"what is {argv[1]!r}? give flags only")
  if FLAGS.port:
    with np.errstate(all="ignore"):  # large weights overflow, as they do in the book
      for _ in range(FLAGS.repeats):
        for name, value in PORTS[FLAGS.port](FLAGS.dtype).items():
          print(f"{name}: {value:.4g}")
    return
  print("| race | cold s | warm s | NumPy s | in float32 | cold | warm | warm to float32 | load |")
  print("|---|---|---|---|---|---|---|---|---|")
  for name in FLAGS.races:
    times = compare(name, FLAGS.turns, FLAGS.options.split())
    cold, port, warm, single = (statistics.median(values) for values in times.values())
    print(
      f"| {name} | {cold:.1f} | {warm:.1f} | {port:.1f} | {single:.1f} | **{port / cold:.1f}** "
      f"| **{port / warm:.1f}** | {single / warm:.1f} | {os.getloadavg()[0]:.1f} |",
      flush=True,
    )


if __name__ == "__main__":
  app.run(main)
