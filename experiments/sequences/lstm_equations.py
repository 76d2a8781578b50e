"""The LSTM gate by gate, and with one stacked matrix: the two forms are equal (S04).

Hochreiter and Schmidhuber 1997 with Gers' forget gate: one form has a matrix for each gate, the
other stacks them, so that a time step is one product, which is how `research/layers/recurrent.py`
computes it.

    python launch.py --experiment=lstm_equations

Expected: equal to 1e-12 in float64; a few seconds.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import research as ln


@ln.pytree_config
class Config:
  """The sequence that both forms read."""

  times: int = ln.static(20, "times", at_least=1)
  size: int = ln.static(8, "units, and features of an input", at_least=1)


def lstm_by_gates(p: dict[str, Any], x: Array, h: Array, c: Array) -> tuple[Array, Array]:
  """Equations 3.5 to 3.10, a matrix for each gate: the next h and c of one example."""
  part = lambda gate: p["W"][gate] @ x + p["U"][gate] @ h + p["b"][gate]
  keep, write, read = (jax.nn.sigmoid(part(gate)) for gate in ("f", "i", "o"))
  c = keep * c + write * jnp.tanh(part("c"))
  return read * jnp.tanh(c), c


def both_forms(
  key: Key[Array, ""], times: int, size: int
) -> tuple[Float[Array, "times size"], Float[Array, "times size"]]:
  """The hidden states gate by gate, and by the library's stacked layer with the same weights."""
  x = jax.random.normal(key, (1, times, size), float)
  layer = ln.Recurrent(size, "lstm")
  stacked = jax.tree.map(
    lambda leaf: leaf.astype(x.dtype), layer.init(jax.random.fold_in(key, 1), x)
  )
  split = lambda name: jnp.split(stacked["params"][name], 4, axis=-1)
  names = ("i", "f", "c", "o")
  p = {
    "W": {gate: matrix.T for gate, matrix in zip(names, split("kernel"), strict=True)},
    "U": {gate: matrix.T for gate, matrix in zip(names, split("recurrent"), strict=True)},
    "b": dict(zip(names, split("bias"), strict=True)),
  }
  h = c = jnp.zeros(size, x.dtype)
  by_gates = []
  for t in range(times):
    h, c = lstm_by_gates(p, x[0, t], h, c)
    by_gates.append(h)
  return jnp.stack(by_gates), layer.apply(stacked, x)[0][0]


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both forms on the same sequence, in float64."""
  with jax.enable_x64(True):
    by_gates, stacked = both_forms(lab.key("lstm"), config.times, config.size)
    error = jnp.max(jnp.abs(by_gates - stacked))
  claim = ln.claims("S04")
  what = "LSTM gate by gate against the stacked matrix, float64, largest difference"
  picture = ln.heat_maps(
    {"gate by gate": by_gates.T, "one stacked matrix": stacked.T},
    title="The hidden state of an LSTM, in two forms",
    x="time",
    y="unit",
    colours="PuOr",
    value_range=(-1, 1),
    shades="hidden state",
    caption="An untrained LSTM reads random inputs; one panel should be the other's copy.",
    file="hidden_states",
  )
  return ln.Report([claim(what, "equal", error, ln.at_most(1e-12))], [picture])


experiment = ln.Experiment(Config, run)
