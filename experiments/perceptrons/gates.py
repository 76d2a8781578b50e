"""Logic gates by perceptrons: what one unit can do, and what many can (P01, P03).

Saito 2016, chapter 2: AND, NAND and OR are one threshold unit each, with weights set by hand; XOR
is none, but two layers give it: AND of (NAND, OR). Since NAND alone builds a computer, NAND alone
adds here.

    python launch.py --experiment=gates

Expected: all truth tables exact, and 65,536 of 65,536 sums right. About 5 seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

import research as ln
from research.figures.regions import decision_regions
from research.models.threshold_units import AND, NAND, OR, ROWS, TABLES, fire


@ln.pytree_config
class Config:
  """Nothing is to be set."""


def xor(a: Array, b: Array) -> Int[Array, "..."]:
  """Two layers: NAND and OR first, then AND of their answers."""
  return fire(AND, fire(NAND, a, b), fire(OR, a, b))


GATES = {
  "AND": lambda a, b: fire(AND, a, b),
  "NAND": lambda a, b: fire(NAND, a, b),
  "OR": lambda a, b: fire(OR, a, b),
  "XOR": xor,
}


def half_adder(a: Array, b: Array) -> tuple[Array, Array]:
  """Sum and carry of two bits, by five NANDs."""
  both = fire(NAND, a, b)
  return fire(NAND, fire(NAND, a, both), fire(NAND, b, both)), fire(NAND, both, both)


def full_adder(a: Array, b: Array, carry: Array) -> tuple[Array, Array]:
  """Sum and carry of three bits, by nine NANDs."""
  both = fire(NAND, a, b)
  either = fire(NAND, fire(NAND, a, both), fire(NAND, b, both))
  all_three = fire(NAND, either, carry)
  total = fire(NAND, fire(NAND, either, all_three), fire(NAND, carry, all_three))
  return total, fire(NAND, both, all_three)


def add_bytes(a: Int[Array, " n"], b: Int[Array, " n"]) -> Int[Array, " n"]:
  """Sums of numbers below 256: a half adder, then seven full adders that ripple the carry."""
  bits = lambda number: [(number >> place) & 1 for place in range(8)]
  (first, *others), carry = list(zip(bits(a), bits(b), strict=True)), None
  total, carry = half_adder(*first)
  for place, (bit_a, bit_b) in enumerate(others, start=1):
    bit, carry = full_adder(bit_a, bit_b, carry)
    total = total + (bit << place)
  return total + (carry << 8)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Truth tables, and sums of all pairs of bytes."""
  del config, lab
  claims = []
  for name, gate in GATES.items():
    claim, what = ln.claims("P03" if name == "XOR" else "P01"), f"{name} by weights set by hand"
    wrong = int(np.sum(np.asarray(gate(*ROWS.T)) != TABLES[name]))
    claims.append(claim(f"{what}: wrong rows of 4", "0", wrong, ln.equals(0)))
  a, b = (numbers.ravel() for numbers in np.meshgrid(np.arange(256), np.arange(256)))
  right = np.sum(np.asarray(jax.jit(add_bytes)(jnp.asarray(a), jnp.asarray(b))) == a + b)
  what = "8-bit adder of NANDs only: right sums of all 65,536 pairs"
  claims.append(claim(what, "all", right, ln.equals(65_536)))
  return ln.Report(claims, [regions()])


def regions() -> ln.Picture:
  """Draws the answers of the gates over the plane."""
  ticks = np.linspace(-0.5, 1.5, 401)
  plane = jnp.meshgrid(jnp.asarray(ticks), jnp.asarray(ticks))
  title = {"XOR": "XOR = AND(NAND, OR)"}
  return decision_regions(
    {
      title.get(name, name): (np.asarray(gate(*plane)), TABLES[name])
      for name, gate in GATES.items()
    },
    ticks,
    ticks,
    ROWS,
    title="Gates by threshold units",
    axis_names=("input $x_1$", "input $x_2$"),
    caption="One unit cuts the plane by one line, which is enough for three gates; XOR takes the "
    "strip between two lines, those of its first layer, NAND and OR.",
  )


experiment = ln.Experiment(Config, run)
