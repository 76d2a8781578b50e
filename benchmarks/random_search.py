"""Random search R07 from the start of a process to the finished study, in three ways.

python benchmarks/random_search.py [--turns=3] [--trials=100] [--torch_python=PATH]
python benchmarks/random_search.py --side=numpy     one side alone

Ours is the command of `experiments/tuning/random_search.py` as a sweep, with an empty compile cache
and with the one that it has filled; it also writes its study, checkpoints, tables, figures and
report, and trains the winner again. NumPy is the textbook's method in plain NumPy: layers with
forward and backward, the loss computed once more after every update, both accuracies after every
epoch, in float64 as NumPy has it, and in float32. PyTorch is a loop under Optuna's random sampler,
as its tutorial has it. All train the same net on the same images as often. The sides take turns.

    python benchmarks/random_search.py --lanes

measures lanes against a Python loop over the same compiled step, for 1 to 256 trials.
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

import numpy as np
from absl import app, flags

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

EXAMPLES, HELD_OUT, EPOCHS, BATCH = 400, 100, 50, 100
SIZES = (784, *(100,) * 6, 10)
SPACE = "optimizer.learning_rate=log(1e-6,1e-2); optimizer.weight_decay=log(1e-8,1e-4)"

FLAGS = flags.FLAGS
flags.DEFINE_integer("turns", 3, "turns of each side", lower_bound=1)
flags.DEFINE_integer("trials", 100, "of the search", lower_bound=1)
flags.DEFINE_enum("side", None, ("numpy", "optuna"), "run one side only")
flags.DEFINE_enum("dtype", "float64", ("float64", "float32"), "of the NumPy side")
flags.DEFINE_string("torch_python", sys.executable, "a Python that has Optuna and PyTorch")
flags.DEFINE_bool("lanes", False, "measure lanes against a loop instead")


def images(dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Images to learn from and their labels, and those held out."""
  from research.data import sets

  every = sets.load("mnist").train
  x = every["image"][: EXAMPLES + HELD_OUT].reshape(-1, 784).astype(dtype) / 255
  t = every["label"][: EXAMPLES + HELD_OUT].astype(np.int64)
  return x[:EXAMPLES], t[:EXAMPLES], x[EXAMPLES:], t[EXAMPLES:]


class Net:
  """Dense layers with ReLU and He's initial weights; the textbook's layers, joined."""

  def __init__(self, rng: np.random.Generator, decay: float, dtype: type):
    self.decay = decay
    self.weights = [
      (np.sqrt(2 / n) * rng.standard_normal((n, m))).astype(dtype)
      for n, m in itertools.pairwise(SIZES)
    ]
    self.biases = [np.zeros(m, dtype) for m in SIZES[1:]]

  def logits(self, x: np.ndarray) -> np.ndarray:
    self.inputs = []
    for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
      self.inputs.append(x)
      x = x @ w + b
      if layer < len(self.weights) - 1:
        x = np.maximum(x, 0)
    return x

  def probabilities(self, x: np.ndarray) -> np.ndarray:
    a = self.logits(x)
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

  def loss(self, x: np.ndarray, t: np.ndarray) -> float:
    p = self.probabilities(x)
    penalty = sum(np.sum(w**2) for w in self.weights)
    return float(-np.mean(np.log(p[np.arange(len(t)), t] + 1e-7)) + self.decay / 2 * penalty)

  def gradient(self, x: np.ndarray, t: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    d = self.probabilities(x)
    d[np.arange(len(t)), t] -= 1
    d /= len(t)
    d_weights, d_biases = [], []
    for w, a in zip(reversed(self.weights), reversed(self.inputs), strict=True):
      d_weights.append(a.T @ d + self.decay * w)
      d_biases.append(d.sum(axis=0))
      d = (d @ w.T) * (a > 0)  # a is the ReLU's output; the last of these products goes unused
    return d_weights[::-1], d_biases[::-1]

  def accuracy(self, x: np.ndarray, t: np.ndarray) -> float:
    return float(np.mean(self.logits(x).argmax(axis=1) == t))


def by_numpy(trials: int, dtype: type) -> float:
  """The best validation accuracy."""
  x, t, held_x, held_t = images(dtype)
  best = 0.0
  for trial in range(trials):
    rng = np.random.default_rng(trial)
    decay, rate = 10 ** rng.uniform(-8, -4), 10 ** rng.uniform(-6, -2)
    net = Net(rng, decay, dtype)
    for step in range(EPOCHS * (EXAMPLES // BATCH)):
      rows = rng.choice(EXAMPLES, BATCH)
      d_weights, d_biases = net.gradient(x[rows], t[rows])
      for param, d in zip(net.weights + net.biases, d_weights + d_biases, strict=True):
        np.subtract(param, dtype(rate) * d, out=param)
      net.loss(x[rows], t[rows])
      if step % (EXAMPLES // BATCH) == 0:
        net.accuracy(x, t)
        last = net.accuracy(held_x, held_t)
    best = max(best, last)
  return best


def by_optuna(trials: int) -> float:
  """The best validation accuracy."""
  import optuna
  import torch
  from torch import nn

  optuna.logging.set_verbosity(optuna.logging.WARNING)
  x, t, held_x, held_t = map(torch.from_numpy, images(np.float32))

  def net() -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise(SIZES):
      dense = nn.Linear(n, m)
      nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
      nn.init.zeros_(dense.bias)
      layers += [dense, nn.ReLU()]
    return nn.Sequential(*layers[:-1])

  def accuracy(model: nn.Module, x: Any, t: Any) -> float:
    with torch.no_grad():
      return float((model(x).argmax(dim=1) == t).float().mean())

  def objective(trial: Any) -> float:
    torch.manual_seed(trial.number)
    model = net()
    optimizer = torch.optim.SGD(
      model.parameters(),
      lr=trial.suggest_float("lr", 1e-6, 1e-2, log=True),
      weight_decay=trial.suggest_float("wd", 1e-8, 1e-4, log=True),
    )
    for step in range(EPOCHS * (EXAMPLES // BATCH)):
      rows = torch.randint(EXAMPLES, (BATCH,))
      optimizer.zero_grad()
      nn.functional.cross_entropy(model(x[rows]), t[rows]).backward()
      optimizer.step()
      if step % (EXAMPLES // BATCH) == 0:
        accuracy(model, x, t)
        last = accuracy(model, held_x, held_t)
    return last

  study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
  study.optimize(objective, n_trials=trials)
  return study.best_value


def timed(words: list[str], **environment: str) -> float:
  """Seconds of a whole process.

  Raises:
    RuntimeError: when it fails, with what it said.
  """
  start = time.perf_counter()
  done = subprocess.run(
    words, env=os.environ | environment, cwd=ROOT, capture_output=True, text=True, check=False
  )
  if done.returncode:
    raise RuntimeError(done.stderr)
  return time.perf_counter() - start


def compare(turns: int, trials: int) -> str:
  """Whole processes in turn; a table of medians."""
  own = [sys.executable, "launch.py", "--experiment=random_search", f"--sweep={SPACE}"]
  side = lambda *words: [sys.executable, __file__, f"--trials={trials}", *words]
  seconds: dict[str, list[float]] = {}
  for _ in range(turns):
    with tempfile.TemporaryDirectory() as folder:

      def ours(number: int, folder: str = folder) -> float:
        return timed(
          [*own, f"--trials={trials}", f"--workdir={folder}/run{number}"],
          JAX_COMPILATION_CACHE_DIR=f"{folder}/xla",
        )

      sides: dict[str, Callable[[], float]] = {
        "ours, compile cache empty": lambda: ours(0),
        "textbook in NumPy, float64": lambda: timed(side("--side=numpy")),
        "ours, compile cache warm": lambda: ours(1),
        "textbook in NumPy, float32": lambda: timed(side("--side=numpy", "--dtype=float32")),
        "Optuna + PyTorch": lambda: timed([FLAGS.torch_python, *side("--side=optuna")[1:]]),
      }
      for name, run in sides.items():
        seconds.setdefault(name, []).append(run())
        print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
  medians = {name: statistics.median(each) for name, each in seconds.items()}
  cold, warm = (medians[f"ours, compile cache {state}"] for state in ("empty", "warm"))
  rows = ["| side | seconds, median | all turns | times ours, cold | times ours, warm |"]
  rows.append("|---|---|---|---|---|")
  for name, median in medians.items():
    turns_text = ", ".join(f"{each:.1f}" for each in seconds[name])
    rows.append(
      f"| {name} | {median:.1f} | {turns_text} | {median / cold:.2f} | {median / warm:.2f} |"
    )
  return "\n".join(rows)


def rate_of_products() -> float:
  """Operations a second of products of 2000 by 2000 matrices, one for each device."""
  import jax
  import jax.numpy as jnp

  a = jnp.ones((jax.device_count(), 2000, 2000))
  product = jax.pmap(lambda a: a @ a)
  seconds = []
  for _ in range(6):  # the first compiles
    start = time.perf_counter()
    product(a).block_until_ready()
    seconds.append(time.perf_counter() - start)
  return len(a) * 2 * 2000**3 / min(seconds)


def lanes_against_loop() -> str:
  """Seconds for 1 to 256 trials of 100 steps, compile included; and the share of the peak."""
  from research.lab import process

  process.prepare_jax(collectives=False)
  os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
  import jax

  from experiments.tuning.random_search import Config, training
  from research.compile import ONE_DEVICE, run_steps, step_work
  from research.config import replace
  from research.lanes import compile_population, stack
  from research.training import on_device

  config = Config()
  fit = training(config)
  data, steps = dict(fit.data), 100
  rates = 10 ** np.random.default_rng(0).uniform(-6, -2, 256)
  configs = [on_device(replace(config, {"optimizer.learning_rate": float(r)})) for r in rates]
  keys = jax.random.split(jax.random.key(0), 256)

  def loop(count: int) -> float:
    start = time.perf_counter()
    jitted = jax.jit(
      lambda config, state, key: run_steps(
        fit.learner, fit.sampler, ONE_DEVICE, steps, config, state, data, key, 0
      )
    )
    init = jax.jit(fit.learner.init)
    for number in range(count):
      made = jitted(configs[number], init(configs[number], keys[number]), keys[number])
    jax.block_until_ready(made)
    return time.perf_counter() - start

  def lanes(count: int, block: int) -> tuple[float, float]:
    start = time.perf_counter()
    program = compile_population(fit.learner, fit.sampler, 100, count, block)
    pad = [min(number, count - 1) for number in range(program.width)]
    stacked = program.place(stack([configs[number] for number in pad]))
    own_keys = program.place(keys[np.array(pad)])
    active = program.place(np.arange(program.width) < count)
    shared, first = program.share(data), program.place(np.zeros(program.width, np.int32))
    states = program.init(active, stacked, own_keys)
    run = lambda states: jax.block_until_ready(
      program.steps(steps, active, stacked, states, shared, own_keys, first)
    )
    states, _ = run(states)
    whole = time.perf_counter() - start
    start = time.perf_counter()
    run(states)
    return whole, time.perf_counter() - start

  peak = rate_of_products()
  work = step_work(fit.learner, fit.sampler, configs[0], fit.data)
  rows = [
    f"Matrix products of 2000: {peak / 1e9:.0f} GFLOP/s. A step: {work / 1e6:.1f} MFLOP.\n",
    "| trials | loop, s | lanes in blocks of 1, s | blocks of 4, s | one block, s "
    "| loop / blocks of 1 | share of the peak, compiled |",
    "|---|---|---|---|---|---|---|",
  ]
  for count in (1, 4, 16, 64, 256):
    looped = loop(count)
    (ones, again), (fours, _), (whole, _) = (lanes(count, b) for b in (1, min(4, count), count))
    share = work * steps * count / again / peak
    rows.append(
      f"| {count} | {looped:.2f} | {ones:.2f} | {fours:.2f} | {whole:.2f} | {looped / ones:.2f} "
      f"| {share:.0%} |"
    )
    print(rows[-1], file=sys.stderr, flush=True)
  return "\n".join(rows)


def main(_: list[str]) -> None:
  """Prints a table, or what one side reached."""
  if FLAGS.lanes:
    print(lanes_against_loop())
  elif FLAGS.side:
    run = lambda: by_numpy(FLAGS.trials, getattr(np, FLAGS.dtype))
    print(by_optuna(FLAGS.trials) if FLAGS.side == "optuna" else run())
  else:
    print(compare(FLAGS.turns, FLAGS.trials))


if __name__ == "__main__":
  app.run(main)
