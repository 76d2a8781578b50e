"""The cost of length: a Transformer layer and a GRU layer on ever longer sequences (S12, S13).

Vaswani et al. 2017, table 1: self-attention takes n^2 d multiplications for n tokens of d features
and one step in sequence, recurrence n d^2 and n steps. So attention's share per token grows with n,
and the GRU's does not; but the GRU has to wait for every token before the next, with products that
are small. Multiplications are counted from the program; times are of forward and backward pass
together, on this machine, and are a finding, not a claim.

    python launch.py --experiment=cost_of_length

Expected: the GRU takes the same products per token at any length, the Transformer's layer five
times as many at 1,024 tokens as at 16. On two CPU cores, where little is won by doing all tokens at
once, the GRU is also the faster one, from 64 tokens on. Half a minute.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import research as ln
from research.analysis.timing import shortest_call
from research.flops import flops
from research.layers.attention import key_mask
from research.layers.transformer import EncoderLayer

Tokens = Float[Array, "batch places features"]


@ln.pytree_config
class Config:
  """The layers, and what they are fed."""

  lengths: tuple[int, ...] = ln.static((16, 32, 64, 128, 256, 512, 1024), "tokens", at_least=1)
  features: int = ln.static(64, "features of a token, a multiple of 4", at_least=4)
  batch_size: int = ln.static(4, "sequences at once", at_least=1)
  repeats: int = ln.static(20, "times that each is timed; the shortest counts", at_least=1)


class Attending(nn.Module):
  """An encoder layer of four heads."""

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    """The same shape."""
    everything = key_mask(jnp.ones(x.shape[:2], bool))
    return EncoderLayer(x.shape[-1], 4, 2 * x.shape[-1])(x, everything)[0]


class Remembering(nn.Module):
  """A GRU layer."""

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    """The same shape."""
    return ln.Recurrent(x.shape[-1], "gru")(x)[0]


LAYERS: dict[str, Callable[[], nn.Module]] = {"Transformer layer": Attending, "GRU": Remembering}


def program(layer: nn.Module, x: Tokens) -> tuple[Callable[..., Array], Array]:
  """A training step without its update, and the parameters it is given."""
  params = jax.jit(layer.init)(jax.random.key(0), x)
  return jax.grad(lambda params, x: jnp.mean(jnp.square(layer.apply(params, x)))), params


def products_per_token(layer: nn.Module, x: Tokens) -> float:
  """Multiplications and additions of a step in matrix products, over the tokens."""
  step, params = program(layer, x)
  return flops(jax.make_jaxpr(step)(params, x).jaxpr) / (x.shape[0] * x.shape[1])


def microseconds_per_token(layer: nn.Module, x: Tokens, repeats: int) -> float:
  """The shortest time of a compiled step, over the tokens; neighbours can only make it longer."""
  step, params = program(layer, x)
  compiled = jax.jit(step)
  seconds = shortest_call(lambda: compiled(params, x), repeats)
  return 1e6 * seconds / (x.shape[0] * x.shape[1])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both layers at every length."""
  inputs = [
    jax.random.normal(lab.key("input"), (config.batch_size, length, config.features))
    for length in config.lengths
  ]
  counted = {
    name: [products_per_token(layer(), x) for x in inputs] for name, layer in LAYERS.items()
  }
  timed = {
    name: [microseconds_per_token(layer(), x, config.repeats) for x in inputs]
    for name, layer in LAYERS.items()
  }
  curves = lambda values: {name: (config.lengths, found) for name, found in values.items()}
  cost = ln.function_curves(
    [
      ln.Panel("operations per token", curves(counted), "counted", log="xy"),
      ln.Panel("time per token (µs)", curves(timed), "measured here", log="xy"),
    ],
    title=f"A training step of one layer, {config.features} features",
    x="tokens in the sequence",
    caption="Left: additions and multiplications in matrix products, over the tokens. Right: the "
    "shortest time of a step, over the tokens.",
    file="cost",
  )
  return ln.Report([], [cost])


experiment = ln.Experiment(Config, run)
