"""The speed of a training step, from loops in Python to a program for all cores (Y01).

Saito 2016, sections 7.4 and 8.3: `im2col` makes one matrix product of the loops, which fast
hardware is good at, and several devices share the work; in AlexNet's forward pass convolutions take
95 % of the time on a GPU, 89 % on a CPU. Here the book's SimpleConvNet makes steps of SGD in loops
and in NumPy (`research/analysis/plain_convnet.py`), and by JAX (`research/analysis/step_forms.py`):
operation by operation (eager), compiled (jit), many steps in one call (scan), several nets in one
program (lanes), and a net on every device, which on a CPU is a core. The convolution and its weight
gradient are timed by themselves, too. The forms take turns; times are those of this machine.

    python launch.py --experiment=speed_up

Expected: NumPy is 580 times as fast as loops, and a compiled step four times as fast as NumPy and
nine times as fast as eager JAX. On two CPU cores that is all: a call from Python costs little
beside a step of 100 images, and one step keeps both cores busy. Half a minute.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis import plain_convnet as plain
from research.analysis.gradient_check import relative_difference
from research.analysis.step_forms import CORES, EAGER, JIT, LANES, SCAN, Form, forms_of
from research.analysis.timing import shortest_call
from research.layers.convolution import convolve
from research.models.simple_convnet import SimpleConvNet

LOOPS, NUMPY = "Python loops", "NumPy"
LADDER = ((NUMPY, LOOPS), (JIT, NUMPY), (JIT, EAGER), (SCAN, JIT), (LANES, SCAN), (CORES, LANES))
FEW, RATE = 2, 0.1  # images for loops; step size
Times = Mapping[str, np.ndarray]  # of each form, [turn, (step, convolution)] in microseconds


@ln.pytree_config
class Config:
  """The net, its batches, and how often each form is timed."""

  filters: int = ln.static(30, "convolution filters of 5x5", at_least=1)
  hidden: int = ln.static(100, "units of the hidden dense layer", at_least=1)
  batch_size: int = ln.static(100, "examples per step", at_least=FEW)
  steps: int = ln.static(10, "in one call of all forms but the first three", at_least=1)
  nets: int = ln.static(4, "nets in one program", at_least=1)
  turns: int = ln.static(5, "times that each form is timed", at_least=2)


def whole(config: Config, key: jax.Array, batches: ln.Batch) -> tuple[dict[str, Form], float]:
  """All forms of a step, and how far their gradients are apart, over the largest entry."""
  net = SimpleConvNet(config.filters, hidden=config.hidden)
  start = net.init(key, batches["image"][0, :1])["params"]

  def loss(params: Any, batch: ln.Batch) -> jax.Array:
    logits = net.apply({"params": params}, batch["image"])
    return ln.softmax_cross_entropy(logits, batch).mean()

  gradient = jax.grad(loss)
  stepped = lambda params, found: jax.tree.map(lambda w, g: w - RATE * g, params, found)
  host, batch = jax.tree.map(np.asarray, start), {name: x[0] for name, x in batches.items()}
  few = {name: x[:FEW] for name, x in batch.items()}
  of = lambda form, batch: form(host, np.asarray(batch["image"]), np.asarray(batch["label"]))
  forms = {
    LOOPS: Form(lambda: stepped(host, of(plain.by_loops, few)), FEW),
    NUMPY: Form(lambda: stepped(host, of(plain.by_numpy, batch)), config.batch_size),
    **forms_of(lambda w, batch: stepped(w, gradient(w, batch)), start, batches, config.nets),
  }
  last = lambda nets: jax.tree.map(lambda leaf: leaf[-1], nets)
  moved = lambda params: jax.tree.map(lambda new, old: (old - new) / RATE, params, start)
  one, many = moved(forms[EAGER].call()), moved(forms[JIT].call())
  others = forms[SCAN].call(), last(forms[LANES].call()), last(forms[CORES].call())
  pairs = [
    (gradient(start, few), of(plain.by_loops, few)),
    (one, of(plain.by_numpy, batch)),
    *((many, moved(other)) for other in others),
  ]
  return forms, max(relative_difference(*pair) for pair in pairs)


def convolutions(config: Config, key: jax.Array, batches: ln.Batch) -> dict[str, Form]:
  """All forms of the convolution and its weight gradient."""
  start = 0.1 * jax.random.normal(key, (5, 5, 1, config.filters))
  kernel, images = np.asarray(start), np.asarray(batches["image"][0])

  def step(kernel: jax.Array, batch: ln.Batch) -> jax.Array:
    squares = lambda k: jnp.square(convolve(batch["image"], k, (1, 1), "VALID")).mean()
    return kernel - RATE * jax.grad(squares)(kernel)

  return {
    LOOPS: Form(lambda: plain.convolution_by_loops(kernel, images[:FEW]), FEW),
    NUMPY: Form(lambda: plain.convolution_by_numpy(kernel, images), config.batch_size),
    **forms_of(step, start, batches, config.nets),
  }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All forms of the step and of its convolution, turn by turn."""
  shape = config.steps, config.batch_size
  mnist, places = ln.sets.load("mnist").train, np.arange(math.prod(shape)).reshape(shape)
  batches = {name: jnp.asarray(x[places % len(x)]) for name, x in mnist.items()}
  batches["image"] = ln.inputs_of(batches)
  steps, difference = whole(config, lab.key("net"), batches)
  parts = convolutions(config, lab.key("kernel"), batches)
  taken: dict[str, list[list[float]]] = {name: [] for name in steps}
  for name in config.turns * list(steps):
    each = steps[name], parts[name]
    taken[name].append([1e6 * shortest_call(form.call, 1) / form.images for form in each])
  return report({name: np.array(times) for name, times in taken.items()}, difference)


def report(taken: Times, difference: float) -> ln.Report:
  """Compares the times, turn by turn."""
  time = {name: float(np.median(each[:, 0])) for name, each in taken.items()}
  share = {name: float(np.median(100 * each[:, 1] / each[:, 0])) for name, each in taken.items()}
  claim = ln.claims("Y01")
  claims = [claim("all forms: largest difference of gradients", "0", difference, ln.at_most(1e-5))]
  for fast, slow in LADDER:
    ratio = taken[slow][:, 0] / taken[fast][:, 0]
    is_sure = fast in (NUMPY, JIT)
    bar, source = (ln.above(1), "faster") if is_sure else (ln.at_least(0.9), "no slower")
    claims.append(
      claim(f"speed of {fast} over {slow}", source, ratio.mean(), bar, repeats=ratio.tolist())
    )
  title = "A training step of SimpleConvNet"
  bars = functools.partial(ln.bar_charts, x="", lying=True, number=",.0f", title=title)
  alone = "The convolution and its weight gradient, timed by themselves. Medians over the turns."
  drawn = [
    bars({"microseconds an image": time}, log=True, caption="Medians over the turns.", file="time"),
    bars({"share of the convolution (%)": share}, caption=alone, file="convolution"),
  ]
  return ln.Report(claims, drawn)


experiment = ln.Experiment(Config, run)
