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
from jaxtyping import Array, Key

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


def distance_of_lstm_forms(key: Key[Array, ""], times: int, size: int) -> float:
  """Largest difference of a hidden state between gate by gate and the library's stacked layer."""
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
  worst = 0.0
  for t, expected in enumerate(layer.apply(stacked, x)[0][0]):
    h, c = lstm_by_gates(p, x[0, t], h, c)
    worst = max(worst, float(jnp.max(jnp.abs(h - expected))))
  return worst


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both forms on the same sequence, in float64."""
  with jax.enable_x64(True):
    error = distance_of_lstm_forms(lab.key("lstm"), config.times, config.size)
  claim = ln.claims("S04")
  what = "LSTM gate by gate against the stacked matrix, float64, largest difference"
  return ln.Report([claim(what, "equal", error, ln.at_most(1e-12))])


experiment = ln.Experiment(Config, run)
