"""Exploding and vanishing signals in deep nets, and their cure by initialisation (O08).

Ng, course 2 week 1: in a net of 150 linear layers the output of W = 1.5 I grows as 1.5^150, of W =
0.5 I it falls as 0.5^150; the gradients do the same on their way back. A sigmoid's slope is at most
1/4, so its nets lose that factor in every layer. The cure is to draw weights whose variance keeps
the signal: 1/n for linear layers, 2/n for ReLU (He et al. 2015), and by the same reasoning 16/n for
the sigmoid, with biases that keep it about its middle, where its slope is 1/4.

    python launch.py --experiment=deep_linear

Expected: the exact powers; after the cure no layer's gradient is 1,000 times another's; 15 seconds.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln


@ln.pytree_config
class Config:
  """The net."""

  layers: int = ln.static(150, "layers", at_least=2)
  width: int = ln.static(100, "units of every layer", at_least=2)


class Net(NamedTuple):
  """An activation, and its layers' weights and biases as stacks."""

  activation: Callable[[Array], Array]
  w: Float[Array, "layers n n"]
  b: Float[Array, "layers n"]


def scaled_identity(gain: float, config: Config) -> Net:
  """Ng's example."""
  w = jnp.broadcast_to(gain * jnp.eye(config.width), (config.layers, config.width, config.width))
  return Net(lambda z: z, w, jnp.zeros(w.shape[:2]))


def drawn(
  activation: Callable[[Array], Array], rule: str, gain: float, config: Config, key: Array
) -> Net:
  """Weights by one of the library's rules, zero biases."""
  draw = lambda key: ln.initializer(rule, gain)(key, (config.width, config.width), float)
  w = jax.vmap(draw)(jax.random.split(key, config.layers))
  return Net(activation, w, jnp.zeros(w.shape[:2]))


def centred_sigmoid(config: Config, key: Array) -> Net:
  """Slope 1/4 times deviation 4 is 1, as long as the biases keep every unit at its middle, 1/2."""
  net = drawn(jax.nn.sigmoid, "lecun_normal", 4.0, config, key)
  return net._replace(b=-0.5 * net.w.sum(axis=-1))


def output(net: Net, x: Float[Array, " n"], shifts: Float[Array, "layers n"]) -> Float[Array, " n"]:
  """The net's output when something is added to every layer's weighted sum."""

  def layer(a: Array, at: tuple[Array, Array, Array]) -> tuple[Array, None]:
    w, b, shift = at
    return net.activation(w @ a + b + shift), None

  return jax.lax.scan(layer, x, (net.w, net.b, shifts))[0]


def gradient_norms(net: Net, key: Array) -> Float[Array, " layers"]:
  """Length of the gradient of a random reading of the output by every layer's weighted sums."""
  n = net.w.shape[-1]
  x, reading = jax.random.normal(key, (2, n))
  start = 0.5 + 0.1 * x  # the middle of a sigmoid's range, and as good as any for the others
  gradients = jax.grad(lambda shifts: reading @ output(net, start, shifts))(jnp.zeros_like(net.b))
  return jnp.linalg.norm(gradients, axis=-1)


def measured(net: Net, key: Array) -> Float[Array, " layers"]:
  """`gradient_norms` as a program whose arguments, not constants, are the weights."""
  program = jax.jit(lambda w, b, key: gradient_norms(Net(net.activation, w, b), key))
  return program(net.w, net.b, key)


def factor_per_layer(norms: Float[Array, " layers"]) -> float:
  """Geometric mean of what one layer does to the gradient on its way back."""
  return float((norms[0] / norms[-1]) ** (1 / (len(norms) - 1)))


def spread(norms: Float[Array, " layers"]) -> float:
  """The longest gradient over the shortest."""
  return float(norms.max() / norms.min())


def power(gain: float, config: Config) -> float:
  """Returns the output of layers gain x I for the input 1."""
  net = scaled_identity(gain, config)
  return float(output(net, jnp.ones(config.width), jnp.zeros(net.b.shape))[0])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Powers, then gradients of six nets, in float64."""
  in_float32 = power(0.5, config)
  with jax.enable_x64(True):
    off = {
      gain: power(gain, config) / float(Fraction(gain) ** config.layers) - 1 for gain in (1.5, 0.5)
    }
    key = lab.key("weights")
    nets = {
      "linear, 1.5 I": scaled_identity(1.5, config),
      "linear, 0.5 I": scaled_identity(0.5, config),
      "sigmoid, variance 1/n": drawn(jax.nn.sigmoid, "lecun_normal", 1.0, config, key),
      "linear, variance 1/n": drawn(lambda z: z, "lecun_normal", 1.0, config, key),
      "ReLU, variance 2/n": drawn(jax.nn.relu, "he_normal", 1.0, config, key),
      "sigmoid, variance 16/n, centred": centred_sigmoid(config, key),
    }
    norms = {name: measured(net, lab.key("input")) for name, net in nets.items()}
    cured = list(nets)[3:]
    return ln.Report(
      [
        *(
          ln.Claim(
            "O08",
            f"{gain} I, {config.layers} layers: output / exact power - 1",
            f"{gain}^{config.layers} = {float(Fraction(gain) ** config.layers):.4g}",
            abs(error),
            ln.at_most(1e-13),
          )
          for gain, error in off.items()
        ),
        ln.Claim(
          "O08",
          f"0.5 I, {config.layers} layers, in float32: output",
          "less than the smallest float",
          in_float32,
          ln.equals(0),
        ),
        *(
          ln.Claim(
            "O08",
            f"{name}: what a layer does to the gradient",
            f"{gain}",
            factor_per_layer(norms[name]),
            ln.within(gain, 1e-9),
          )
          for name, gain in (("linear, 1.5 I", 1.5), ("linear, 0.5 I", 0.5))
        ),
        ln.Claim(
          "O08",
          "sigmoid, variance 1/n: what a layer does to the gradient",
          "vanishes: at most 1/4 (slope)",
          factor_per_layer(norms["sigmoid, variance 1/n"]),
          ln.at_most(0.25),
        ),
        *(
          ln.Claim(
            "O08",
            f"cured: {name}: longest / shortest gradient of the layers",
            f"1 is perfect; 1.5^{config.layers - 1} = {1.5 ** (config.layers - 1):.0e} is not",
            spread(norms[name]),
            ln.at_most(1000),
          )
          for name in cured
        ),
      ],
      [
        ln.Picture(
          "layers",
          over_layers({name: np.asarray(values) for name, values in norms.items()}, cured),
          "Left: a factor per layer is an exponential over layers. Right: drawn so that the factor "
          "is one, the gradients keep their size over 150 layers.",
        )
      ],
    )


def over_layers(norms: dict[str, np.ndarray], cured: list[str]) -> Figure:
  """Gradient norms over the layers, the last layer's set to one."""
  figure, grid = ln.new_figure("Gradients on their way back", columns=2)
  for index, (name, values) in enumerate(norms.items()):
    look = ln.stroke(index)
    grid[0, int(name in cured)].plot(
      np.arange(1, len(values) + 1),
      values / values[-1],
      color=look.colour,
      linestyle=look.dashes,
      marker=look.marker,
      markevery=max(1, len(values) // 10),
      markersize=4.5,
      label=name,
    )
  for axes, title in zip(grid[0], ("explode or vanish", "cured by initialisation"), strict=True):
    axes.set_yscale("log")
    ln.label_axes(axes, "layer", "gradient / gradient of the last layer", title)
  grid[0, 1].set_ylim(1e-4, 1e4)
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
