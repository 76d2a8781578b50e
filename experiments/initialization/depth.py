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

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import research as ln
from research.analysis.signals import ACTIVATIONS, drawn_weights, signals, sizes
from research.report import Bar


@ln.pytree_config
class Config:
  """The nets."""

  depth: int = ln.static(50, "layers", at_least=5, at_most=100)
  width: int = ln.static(100, "units of every layer", at_least=10)
  examples: int = ln.static(50, "normal inputs", at_least=2)
  nets: int = ln.static(5, "nets of each kind, whose logarithms are averaged", at_least=1)


INITS = {
  "std 1": ln.initializer("normal", 1.0),
  "std 0.01": ln.initializer("normal", 0.01),
  "LeCun normal": ln.initializer("lecun_normal"),
  "LeCun uniform": ln.initializer("lecun_uniform"),
  "Xavier normal": ln.initializer("xavier_normal"),
  "Xavier uniform": ln.initializer("xavier_uniform"),
  "He normal": ln.initializer("he_normal"),
  "He uniform": ln.initializer("he_uniform"),
  "orthogonal": ln.initializer("orthogonal"),
  "orthogonal x 1.41": ln.initializer("orthogonal", math.sqrt(2)),
}
SHOWN = ("std 1", "std 0.01", "Xavier normal", "He normal", "orthogonal")
SMOOTH = tuple(name for name in ACTIVATIONS if name != "step")  # a step's gradient is 0
Sizes = Float[np.ndarray, "2 layers"]


def measure(config: Config, key: Array) -> dict[tuple[str, str], Sizes]:
  """By activation and rule: root mean squares of signals and gradients, geometric means over nets.

  All activations meet the same weights.
  """
  data_key, net_key = jax.random.split(key)
  x, reading = jax.random.normal(data_key, (2, config.examples, config.width))
  found = {}
  for init, draw in INITS.items():
    nets = [
      drawn_weights(draw, net, config.depth, config.width)
      for net in jax.random.split(net_key, config.nets)
    ]
    for activation in ACTIVATIONS:
      logs = [log_sizes(activation, weights, x, reading) for weights in nets]
      found[activation, init] = np.exp(np.mean(logs, axis=0))
  return found


@functools.partial(jax.jit, static_argnums=0)
def log_sizes(
  activation: str,
  weights: Float[Array, "layers width width"],
  x: Float[Array, "examples width"],
  reading: Float[Array, "examples width"],
) -> Float[Array, "2 layers"]:
  """Logarithms of the root mean squares of activations and of gradients."""
  both = signals(ACTIVATIONS[activation], weights, x, reading)
  return jnp.log(jnp.stack([sizes(both.activations), sizes(both.gradients)]))


def factors(measured: Sizes) -> tuple[float, float]:
  """What one layer does to the signal on its way forth, and to the gradient on its way back."""
  forth, back = measured
  each = 1 / (len(forth) - 1)
  with np.errstate(invalid="ignore"):  # a step's gradients are 0 / 0
    return float((forth[-1] / forth[0]) ** each), float((back[0] / back[-1]) ** each)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All rules with all activations, in float64, which has room for 100 layers."""
  with jax.enable_x64(True):
    found = measure(config, lab.key("nets"))
  factor = {case: factors(measured) for case, measured in found.items()}

  def relu(init: str, expected: float) -> list[ln.Claim]:
    ways = ("signal", "gradient")
    return [
      ln.Claim(
        "O08",
        f"ReLU, {init}: what a layer does to the {way}",
        f"{expected:.4g} (s sqrt(n/2))",
        ours,
        ln.within_ratio(expected, 0.05),
      )
      for way, ours in zip(ways, factor["ReLU", init], strict=True)
    ]

  def gradient(activation: str, init: str, source: str, bar: Bar) -> ln.Claim:
    what = f"{activation}, {init}: what a layer does to the gradient"
    return ln.Claim("O08", what, source, factor[activation, init][1], bar)

  root = round(math.sqrt(config.width / 2), 4)
  return ln.Report(
    [
      *relu("std 1", root),
      *relu("std 0.01", round(0.01 * root, 6)),
      *relu("Xavier normal", round(math.sqrt(0.5), 4)),
      *relu("He normal", 1.0),
      *relu("He uniform", 1.0),
      gradient("sigmoid", "Xavier normal", "at most 1/4, the slope", ln.at_most(0.25)),
      gradient("sigmoid", "He normal", "at most sqrt(2)/4", ln.at_most(0.3536)),
      gradient(
        "tanh", "std 0.01", "0.1: s sqrt(n)", ln.within_ratio(0.01 * math.sqrt(config.width), 0.05)
      ),
      gradient("tanh", "orthogonal", "near 1: it carries", ln.at_least(0.9)),
      gradient("tanh", "He normal", "near 1: it carries", ln.at_least(0.9)),
    ],
    [
      ln.Picture(
        "factors",
        factor_table(factor),
        "What one layer does. Only where a cell is near 1 does a signal cross many layers: ReLU "
        "with He's rule or stretched orthogonal weights, tanh with Xavier's or orthogonal ones. A "
        "sigmoid's signal settles, but its gradient is lost by every rule but deviation 1, where "
        "nearly all units are saturated.",
      ),
      ln.Picture(
        "over_layers",
        over_layers(found),
        "An exponential is a straight line here: what explodes or vanishes in five layers is "
        "hopeless in fifty.",
      ),
    ],
  )


def factor_table(factor: dict[tuple[str, str], tuple[float, float]]) -> Figure:
  """Factors per layer by rule and activation, written into shaded cells."""
  figure, grid = ln.new_figure("What one layer does", columns=2, panel_inches=(5.4, 4.2))
  for way, (axes, title) in enumerate(
    zip(grid[0], ("to the signal on its way forth", "to the gradient on its way back"), strict=True)
  ):
    columns = tuple(ACTIVATIONS) if way == 0 else SMOOTH
    cells = np.array([[factor[activation, init][way] for activation in columns] for init in INITS])
    axes.imshow(cells, norm=LogNorm(0.05, 20), cmap="RdBu_r", aspect="auto", alpha=0.6)
    for row, column in np.ndindex(*cells.shape):
      text = f"{cells[row, column]:.2g}"
      axes.text(column, row, text, ha="center", va="center", fontsize=9, color=ln.INK)
    ln.label_axes(axes, "activation", "initial weights" if way == 0 else "", title)
    axes.grid(False)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(INITS)), INITS if way == 0 else [])
  return figure


def over_layers(found: dict[tuple[str, str], Sizes]) -> Figure:
  """Sizes over the layers, one column for each activation, the gradients below."""
  figure, grid = ln.new_figure("Through the layers", 2, len(ACTIVATIONS), (2.6, 2.5))
  for column, activation in enumerate(ACTIVATIONS):
    for way in range(2):
      axes = grid[way, column]
      has_values = way == 0 or activation in SMOOTH
      for index, init in enumerate(SHOWN if has_values else ()):
        look, values = ln.stroke(index), found[activation, init][way]
        axes.plot(
          np.arange(1, len(values) + 1),
          values,
          color=look.colour,
          linestyle=look.dashes,
          marker=look.marker,
          markevery=(index, max(1, len(values) // 6)),
          markersize=4,
          label=init,
        )
      axes.set_yscale("log")
      axes.set_ylim(1e-20, 1e20)
      y = ("activation", "gradient")[way] + ", root mean square"
      ln.label_axes(
        axes, "layer" if way else "", y if column == 0 else "", "" if way else activation
      )
      if not has_values:
        axes.text(0.5, 0.5, "0 in every layer", transform=axes.transAxes, ha="center", color=ln.INK)
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
