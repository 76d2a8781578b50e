"""Signals of four layers on MNIST before anything is learned, by the rule of their weights (I03).

He et al. 2015, section 2.2: a ReLU layer of n units with weights of deviation s multiplies the
gradient by s sqrt(n / 2). Measured on the nets with which `weight_initializers` begins,
784-100x4-10, with their losses of the first 1,000 training images: the root mean square of the
gradient by the first layer's weighted sums, over that by the last hidden layer's.

    python launch.py --experiment=first_signals
    python launch.py --experiment=first_signals --dataset=fashion_mnist

Expected: the formula's powers within 20 %; some seconds.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import research as ln
from research.analysis.signals import ACTIVATIONS, classifier_signals
from research.initializers import RULES


@ln.pytree_config
class Config:
  """The net of the book's comparison, and the images."""

  dataset: str = ln.static(
    "mnist", "images or a table", choices=("mnist", "fashion_mnist", *ln.sets.OWN)
  )
  activation: str = ln.static("ReLU", "of the hidden layers", choices=tuple(ACTIVATIONS))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  looked_at: int = ln.static(1000, "training images that are sent through", at_least=1)
  repeats: int = ln.static(3, "nets of every rule", at_least=1)


SHOWN = ("std 1", "std 0.01", "LeCun normal", "He normal")
HISTOGRAMS = (  # of what, their range, and the caption
  ("activations", (0, 2), "Values above 2 are counted in the last bin."),
  ("gradients", None, "Of each image's loss by the layer's weighted sums."),
)


def params(config: Config, rule: str, key: Array, batch: ln.Batch) -> Any:
  """The net's first parameters by a rule."""
  units = (*config.hidden, ln.sets.spec(config.dataset).classes)
  net = ln.MLP(units, ACTIVATIONS[config.activation], RULES[rule])
  return jax.jit(net.init)(key, ln.inputs_of(batch))["params"]


def first_key(lab: ln.Lab, number: int) -> Array:
  """The key of the first weights in repetition `number` of `weight_initializers`."""
  of_fit = jax.random.split(jax.random.fold_in(lab.key("race"), number))[0]
  return jax.random.split(of_fit)[0]


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Sends images through every net and their losses back; of the user's own nothing is claimed."""
  train = ln.sets.load(config.dataset).train
  few = {name: jnp.asarray(array[: config.looked_at]) for name, array in train.items()}
  half, powers = math.sqrt(config.hidden[-1] / 2), len(config.hidden) - 1
  factors = {  # of a layer, on the gradient
    "std 1": half,
    "std 0.01": 0.01 * half,
    "LeCun normal": math.sqrt(0.5),
    "He normal": 1.0,
    "He uniform": 1.0,
    "orthogonal x 1.41": 1.0,
  }
  looks = {
    name: [
      classifier_signals(config.activation, params(config, name, first_key(lab, n), few), few)
      for n in range(config.repeats)
    ]
    for name in factors
  }
  size = lambda gradient: float(jnp.sqrt(jnp.mean(jnp.square(gradient))))
  back = {
    name: np.mean([size(look.gradients[0]) / size(look.gradients[-1]) for look in own])
    for name, own in looks.items()
  }
  claim = ln.claims("I03")
  slope = f"gradient of layer 1 / of layer {len(config.hidden)} before learning"
  due = {name: f"{factor**powers:.3g}" for name, factor in factors.items()}
  formula, bar = f"(s sqrt(n/2))^{powers}", lambda power: ln.within_ratio(float(power), 0.2)
  claims = [
    claim(f"{name}: {slope}", f"{power}: {formula}", back[name], bar(power))
    for name, power in due.items()
  ]
  return ln.Report(
    claims if config.dataset in ln.sets.names() else [],
    [
      ln.histogram_grid(
        {name: getattr(looks[name][0], kind) for name in SHOWN},
        title=f"{kind.capitalize()} before learning, {config.activation}, {config.dataset}",
        x=kind.removesuffix("s"),
        value_range=value_range,
        caption=caption,
        file=f"{kind}_before",
      )
      for kind, value_range, caption in HISTOGRAMS
    ],
  )


experiment = ln.Experiment(Config, run)
