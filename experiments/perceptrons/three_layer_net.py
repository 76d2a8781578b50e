"""A forward pass by hand, and a softmax that does not overflow (P06, P07).

Saito 2016, section 3.4: a 2-3-2-2 net with sigmoid hidden units and identity output, x = (1, 0.5);
section 3.5: softmax with the largest input subtracted, which changes nothing but the range of exp.
Classes may be chosen without softmax: it leaves the order as it is.

    python launch.py --experiment=three_layer_net

Expected: y = (0.31682708, 0.69627909); softmax sums to 1 and stays finite at 1000 and above in
float64, float32, bfloat16 and float16. No training; about 5 seconds on two CPU cores.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.figures.signal_flow import signal_flow


@ln.pytree_config
class Config:
  """The random inputs of softmax's tests."""

  vectors: int = ln.static(10_000, "random input vectors", at_least=1)
  classes: int = ln.static(10, "elements of each", at_least=2)


class Layer(NamedTuple):
  """Weights [in, out] and biases [out]."""

  weights: Sequence[Sequence[float]]
  biases: Sequence[float]


LAYERS = (
  Layer([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [0.1, 0.2, 0.3]),
  Layer([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]], [0.1, 0.2]),
  Layer([[0.1, 0.3], [0.2, 0.4]], [0.1, 0.2]),
)
INPUT = (1.0, 0.5)
GOLDEN = (0.31682708, 0.69627909)
DTYPES = ("float64", "float32", "bfloat16", "float16")


def forward(layers: Sequence[Layer], x: Array) -> list[Array]:
  """The signals of all columns: the input, the sigmoids of the hidden layers, the output."""
  signals = [x]
  for layer in layers:
    total = signals[-1] @ jnp.asarray(layer.weights) + jnp.asarray(layer.biases)
    signals.append(total if layer is layers[-1] else jax.nn.sigmoid(total))
  return signals


def softmax(a: Float[Array, "*batch classes"]) -> Float[Array, "*batch classes"]:
  """exp(a) over its sum, with the largest a taken from all of them: no exponent is above 0."""
  powers = jnp.exp(a - a.max(axis=-1, keepdims=True))
  return powers / powers.sum(axis=-1, keepdims=True)


def naive_softmax(a: Float[Array, "*batch classes"]) -> Float[Array, "*batch classes"]:
  """As the formula stands; inf / inf where a is large."""
  powers = jnp.exp(a)
  return powers / powers.sum(axis=-1, keepdims=True)


def sum_error(a: Float[Array, "*batch classes"]) -> float:
  """The largest distance of softmax's sum from 1, in roundings of the type (half its epsilon).

  The sum is taken in float64, so that only softmax itself rounds.
  """
  error = jnp.abs(softmax(a).astype(jnp.float64).sum(axis=-1) - 1)
  return float(error.max() / (jnp.finfo(a.dtype).eps / 2))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The golden value in float64, and softmax in four types."""
  forward_claim, claim, claims = ln.claims("P06"), ln.claims("P07"), []
  with jax.enable_x64(True):
    signals = [np.asarray(signal) for signal in forward(LAYERS, jnp.array(INPUT))]
    for place, (value, y) in enumerate(zip(GOLDEN, signals[-1], strict=True), start=1):
      what = f"2-3-2-2 net, output y{place}"
      claims.append(forward_claim(what, f"{value:.8f}", y, ln.within(value, 5e-9)))
    inputs = 3 * jax.random.normal(lab.key("inputs"), (config.vectors, config.classes))
    inputs = inputs.astype(jnp.float64)
    # Multiples of 1/8 below 16 lie in all four types, and so do their sums with 1024.
    large = jnp.array([1010.0, 1000.0, 990.0])
    shift = float(jnp.abs(softmax(inputs + 1000) - softmax(inputs)).max())
    what = "softmax(a + 1000) against softmax(a), float64, largest difference"
    claims.append(claim(what, "equal", shift, ln.at_most(1e-12)))
    finite = lambda y: int(jnp.isfinite(y).sum())
    for dtype in DTYPES:
      error, guarded = sum_error(inputs.astype(dtype)), finite(softmax(large.astype(dtype)))
      what = f"{dtype}: |sum of softmax - 1|, largest, in roundings of the type"
      all_finite = f"{dtype}: finite elements of softmax(1010, 1000, 990), of 3"
      naive = finite(naive_softmax(large.astype(dtype)))
      claims += [
        claim(what, "sums to 1", error, ln.at_most(config.classes)),
        claim(all_finite, "all", guarded, ln.equals(3)),
        claim(f"{dtype}: finite elements without the guard", "overflows", naive, ln.equals(0)),
      ]
    moved = int((softmax(inputs).argmax(axis=-1) != inputs.argmax(axis=-1)).sum())
  what = f"inputs of {config.vectors:,} whose largest element softmax moves, float64"
  claims.append(claim(what, "0: it may be left out", moved, ln.equals(0)))
  picture = signal_flow(
    [(np.array(layer.weights), np.array(layer.biases)) for layer in LAYERS],
    signals,
    title="Signals through the 2-3-2-2 net",
    names=("input", "layer 1", "layer 2", "output"),
    caption="Each arrow carries its weight; a circle holds what the neuron emits, grey ones the 1 "
    "of the biases. Drawn from the arrays that are computed with.",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
