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

import research as ln
from research.analysis.signals import drawn_weights


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
  w = drawn_weights(ln.initializer(rule, gain), key, config.layers, config.width)
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

  @jax.jit
  def norms(w: Array, b: Array, key: Array) -> Array:
    x, reading = jax.random.normal(key, (2, w.shape[-1]))
    start = 0.5 + 0.1 * x  # the middle of a sigmoid's range, and as good as any for the others
    read = lambda shifts: reading @ output(Net(net.activation, w, b), start, shifts)
    return jnp.linalg.norm(jax.grad(read)(jnp.zeros_like(b)), axis=-1)

  return norms(net.w, net.b, key)


def factor_per_layer(norms: Float[Array, " layers"]) -> float:
  """Geometric mean of what one layer does to the gradient on its way back."""
  return float((norms[0] / norms[-1]) ** (1 / (len(norms) - 1)))


def power(gain: float, config: Config) -> float:
  """Returns the output of layers gain x I for the input 1."""
  net = scaled_identity(gain, config)
  return float(output(net, jnp.ones(config.width), jnp.zeros(net.b.shape))[0])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Powers, then gradients of six nets, in float64."""
  n, in_float32 = config.layers, power(0.5, config)
  with jax.enable_x64(True):
    exact = {gain: float(Fraction(gain) ** n) for gain in (1.5, 0.5)}
    off = {gain: abs(power(gain, config) / due - 1) for gain, due in exact.items()}
    key = lab.key("weights")
    nets = {
      "linear, 1.5 I": scaled_identity(1.5, config),
      "linear, 0.5 I": scaled_identity(0.5, config),
      "sigmoid, variance 1/n": drawn(jax.nn.sigmoid, "lecun_normal", 1.0, config, key),
      "linear, variance 1/n": drawn(lambda z: z, "lecun_normal", 1.0, config, key),
      "ReLU, variance 2/n": drawn(jax.nn.relu, "he_normal", 1.0, config, key),
      "sigmoid, variance 16/n, centred": centred_sigmoid(config, key),
    }
    norms = {name: gradient_norms(net, lab.key("input")) for name, net in nets.items()}
    factor = {name: factor_per_layer(values) for name, values in norms.items()}
    spreads = {name: float(g.max() / g.min()) for name, g in list(norms.items())[3:]}  # the cured
  claim, does = ln.claims("O08"), "what a layer does to the gradient"
  powers, slope = f"{n} layers: output / exact power - 1", "vanishes: at most 1/4 (slope)"
  perfect = f"1 is perfect; 1.5^{n - 1} = {1.5 ** (n - 1):.0e} is not"
  plain, ratio = "sigmoid, variance 1/n", "longest / shortest gradient of the layers"
  tiny = f"0.5 I, {n} layers, in float32: output"
  return ln.Report(
    [
      *(
        claim(f"{gain} I, {powers}", f"{gain}^{n} = {exact[gain]:.4g}", error, ln.at_most(1e-13))
        for gain, error in off.items()
      ),
      claim(tiny, "less than the smallest float", in_float32, ln.equals(0)),
      *(
        claim(f"{name}: {does}", f"{gain}", factor[name], ln.within(gain, 1e-9))
        for name, gain in (("linear, 1.5 I", 1.5), ("linear, 0.5 I", 0.5))
      ),
      claim(f"{plain}: {does}", slope, factor[plain], ln.at_most(0.25)),
      *(
        claim(f"cured: {name}: {ratio}", perfect, value, ln.at_most(1000))
        for name, value in spreads.items()
      ),
    ],
    [over_layers({name: np.asarray(values) for name, values in norms.items()}, list(spreads))],
  )


def over_layers(norms: dict[str, np.ndarray], cured: list[str]) -> ln.Picture:
  """Gradient norms over the layers, the last layer's set to one."""
  y = "gradient / gradient of the last layer"
  curves = {name: (np.arange(1, len(g) + 1), g / g[-1]) for name, g in norms.items()}
  wild = {name: curve for name, curve in curves.items() if name not in cured}
  tame = {name: curves[name] for name in cured}
  return ln.function_curves(
    [
      ln.Panel(y, wild, "explode or vanish", log="y"),
      ln.Panel(y, tame, "cured by initialisation", log="y", y_range=(1e-4, 1e4)),
    ],
    title="Gradients on their way back",
    x="layer",
    caption="Left: a factor per layer is an exponential over layers. Right: weights that are drawn "
    "so that the factor is one.",
    file="layers",
  )


experiment = ln.Experiment(Config, run)
