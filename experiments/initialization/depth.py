"""Weight initialisation against depth: which rules explode, which vanish, which carry (O08, I02).

Glorot and Bengio 2010, He et al. 2015 (section 2.2) and Saxe et al. 2014, Ng's course 2 week 1:
each of ten rules with each of five activations, through `--depth` square layers, 5 to 100. What one
layer does to the root mean square of the signal, and of the gradient on its way back, is a factor;
over depth it is an exponential. For ReLU and weights of deviation s it is s sqrt(n / 2), 1 by He's
rule; a sigmoid's slope costs its gradient at least 3/4 a layer by any rule of variance about 1/n.
In square layers fan-in and fan-average are one, and LeCun's rule is Xavier's.

    python launch.py --experiment=depth --depth=100

Expected: the factors of the formula within 5 %, at any depth; about 10 seconds on two CPU cores.
"""

import math

import jax
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.analysis.signals import ACTIVATIONS, drawn_weights, factors, log_sizes
from research.initializers import RULES


@ln.pytree_config
class Config:
  """The nets."""

  depth: int = ln.static(50, "layers", at_least=5, at_most=100)
  width: int = ln.static(100, "units of every layer", at_least=10)
  examples: int = ln.static(50, "normal inputs", at_least=2)
  nets: int = ln.static(5, "nets of each kind, whose logarithms are averaged", at_least=1)


INITS = {name: RULES[name] for name in RULES if name not in ("zero", "constant 0.01")}
SHOWN = ("std 1", "std 0.01", "Xavier normal", "He normal", "orthogonal")
Sizes = Float[np.ndarray, "2 layers"]


def measure(config: Config, key: Array) -> dict[tuple[str, str], Sizes]:
  """By activation and rule: root mean squares of signals and gradients, geometric means over nets.

  All activations meet the same weights.
  """
  data_key, net_key = jax.random.split(key)
  x, reading = jax.random.normal(data_key, (2, config.examples, config.width))
  found = {}
  for init, draw in INITS.items():
    keys = jax.random.split(net_key, config.nets)
    nets = [drawn_weights(draw, key, config.depth, config.width) for key in keys]
    for activation in ACTIVATIONS:
      logs = [log_sizes(activation, weights, x, reading) for weights in nets]
      found[activation, init] = np.exp(np.mean(logs, axis=0))
  return found


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All rules with all activations, in float64, which has room for 100 layers."""
  with jax.enable_x64(True):
    found = measure(config, lab.key("nets"))
  factor = {case: factors(measured) for case, measured in found.items()}
  claim, root, near = ln.claims("O08"), round(math.sqrt(config.width / 2), 4), ln.within_ratio
  does, carries = "what a layer does to the", "near 1: it carries"
  relu = {  # what a layer does, by the formula
    "std 1": root,
    "std 0.01": round(0.01 * root, 6),
    "Xavier normal": round(math.sqrt(0.5), 4),
    "He normal": 1.0,
    "He uniform": 1.0,
  }
  slopes = (
    ("sigmoid", "Xavier normal", "at most 1/4, the slope", ln.at_most(0.25)),
    ("sigmoid", "He normal", "at most sqrt(2)/4", ln.at_most(0.3536)),
    ("tanh", "std 0.01", "0.1: s sqrt(n)", near(0.01 * math.sqrt(config.width), 0.05)),
    ("tanh", "orthogonal", carries, ln.at_least(0.9)),
    ("tanh", "He normal", carries, ln.at_least(0.9)),
  )
  return ln.Report(
    [
      *(
        claim(f"ReLU, {init}: {does} {way}", f"{due:.4g} (s sqrt(n/2))", ours, near(due, 0.05))
        for init, due in relu.items()
        for way, ours in zip(("signal", "gradient"), factor["ReLU", init], strict=True)
      ),
      *(
        claim(f"{activation}, {init}: {does} gradient", source, factor[activation, init][1], bar)
        for activation, init, source, bar in slopes
      ),
    ],
    [factor_table(factor), over_layers(found)],
  )


def factor_table(factor: dict[tuple[str, str], tuple[float, float]]) -> ln.Picture:
  """Factors per layer by rule and activation."""
  table = np.array([[factor[activation, init] for activation in ACTIVATIONS] for init in INITS])
  ways = ("to the signal on its way forth", "to the gradient on its way back")
  return ln.heat_maps(
    {name: table[..., way] for way, name in enumerate(ways)},
    title="What one layer does",
    x="activation",
    y="initial weights",
    columns=tuple(ACTIVATIONS),
    rows=tuple(INITS),
    value_range=(0.05, 20),
    log=True,
    colours="RdBu_r",
    number=".2g",
    panel_inches=(5.4, 4.2),
    caption="Where a cell is near 1 a signal crosses many layers. A step's gradient is 0.",
    file="factors",
  )


def over_layers(found: dict[tuple[str, str], Sizes]) -> ln.Picture:
  """Sizes over the layers, one column for each activation, the gradients below."""
  layers, first = np.arange(1, next(iter(found.values())).shape[1] + 1), next(iter(ACTIVATIONS))

  def panel(way: int, what: str, activation: str) -> ln.Panel:
    curves = {init: (layers, found[activation, init][way]) for init in SHOWN}
    y, title = what if activation == first else "", activation if way == 0 else ""
    return ln.Panel(y, curves, title, log="y", y_range=(1e-20, 1e20))

  whats = ("activation, root mean square", "gradient, root mean square")
  return ln.function_curves(
    [panel(way, what, activation) for way, what in enumerate(whats) for activation in ACTIVATIONS],
    title="Through the layers",
    x="layer",
    rows=2,
    panel_inches=(2.6, 2.5),
    caption="A factor per layer is a straight line here. What is 0 in every layer is not drawn.",
    file="over_layers",
  )


experiment = ln.Experiment(Config, run)
