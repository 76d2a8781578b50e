"""Logic gates by perceptrons: what one unit can do, what it cannot, and what many can (P01-P03).

Saito 2016, chapter 2: AND, NAND and OR are one threshold unit each, with weights set by hand; XOR
is none, but two layers give it: AND of (NAND, OR). Since NAND alone builds a computer, NAND alone
adds here. Rosenblatt's rule learns the three gates too, within Novikoff's (1962) bound on its
mistakes, (R / margin)^2, where the margin is that of the book's own weights.

    python launch.py --experiment=gates

Expected: all truth tables exact; 14 of the 16 gates of two inputs separable, XOR not among them;
65,536 of 65,536 sums right. No training on data; about 5 seconds on two CPU cores.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure

import research as ln
from research.figures.regions import decision_regions


@ln.pytree_config
class Config:
  """There is no learning rate: from zero weights it would scale them and change no answer."""

  passes: int = ln.static(
    100, "passes over the truth table that the perceptron rule makes", at_least=1
  )


class Unit(NamedTuple):
  """A threshold unit: 1 where weights . x + bias > 0, else 0."""

  weights: Sequence[float] | Float[Array, " inputs"]
  bias: float | Float[Array, ""]


AND = Unit((0.5, 0.5), -0.7)
NAND = Unit((-0.5, -0.5), 0.7)
OR = Unit((0.5, 0.5), -0.2)
ROWS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
TABLES = {"AND": (0, 0, 0, 1), "NAND": (1, 1, 1, 0), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}


def fire(unit: Unit, *inputs: Array) -> Int[Array, "..."]:
  """The unit's answers, over arrays of any shape."""
  total = sum(w * x for w, x in zip(unit.weights, inputs, strict=True)) + unit.bias
  return (total > 0).astype(int)


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


class Learned(NamedTuple):
  """The result of the perceptron rule: its weights and its mistakes, after each pass."""

  units: Unit
  mistakes: Int[Array, " passes"]


def perceptron_rule(table: Int[Array, " rows"], passes: int) -> Learned:
  """After each wrong answer, adds (right - answer) times the inputs to the weights."""

  def see(unit: Unit, row: tuple[Array, Array]) -> tuple[Unit, Array]:
    x, right = row
    error = right - fire(unit, *x)
    return Unit(jnp.asarray(unit.weights) + error * x, unit.bias + error), jnp.abs(error)

  def one_pass(unit: Unit, _: None) -> tuple[Unit, Learned]:
    unit, wrong = jax.lax.scan(see, unit, (jnp.asarray(ROWS), table))
    return unit, Learned(unit, wrong.sum())

  start = Unit(jnp.zeros(2), jnp.zeros(()))
  return jax.lax.scan(one_pass, start, length=passes)[1]


def most_mistakes(unit: Unit, table: tuple[int, ...]) -> float:
  """Novikoff's bound for a table that `unit` separates: (longest input / margin)^2."""
  rows = np.column_stack([ROWS, np.ones(4)])
  normal = np.append(unit.weights, unit.bias)
  margins = np.where(table, 1, -1) * (rows @ normal) / np.linalg.norm(normal)
  return float(np.square(rows).sum(axis=1).max() / margins.min() ** 2)


def is_separable(table: tuple[int, ...]) -> bool:
  """Whether some unit has this truth table: a linear program finds its weights, or that none exist.

  The margin may be asked to be 1, since weights may be scaled.
  """
  from scipy.optimize import linprog

  signs = np.where(table, 1, -1)[:, None]
  rows = np.column_stack([ROWS, np.ones(4)])
  answer = linprog(np.zeros(3), A_ub=-signs * rows, b_ub=-np.ones(4), bounds=(None, None))
  if answer.status not in (0, 2):  # 0: solved, 2: infeasible
    raise RuntimeError(f"the linear program was neither solved nor refuted: {answer.message}")
  return answer.status == 0


def cycle_length(learned: Learned) -> int:
  """Passes until the rule's weights come back, from the last one on; 0 where they never did.

  The rule is deterministic: once its weights come back, it repeats for ever what lies between.
  """
  states = np.column_stack([learned.units.weights, learned.units.bias])
  same = np.all(states[:-1] == states[-1], axis=1)
  return int(same[::-1].argmax() + 1) if same.any() else 0


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Truth tables, the rule, the linear programs, and sums of all pairs of bytes."""
  del lab
  wrong = {
    name: int(np.sum(np.asarray(gate(*ROWS.T)) != TABLES[name])) for name, gate in GATES.items()
  }
  rule = jax.jit(perceptron_rule, static_argnums=1)
  learned = {name: rule(jnp.array(table), config.passes) for name, table in TABLES.items()}
  mistakes = {name: np.asarray(result.mistakes) for name, result in learned.items()}
  all_tables = [tuple((code >> row) & 1 for row in range(4)) for code in range(16)]
  pairs = np.meshgrid(np.arange(256), np.arange(256))
  sums = jax.jit(add_bytes)(*(jnp.asarray(numbers.ravel()) for numbers in pairs))
  cycle = cycle_length(learned["XOR"])
  single = {"AND": AND, "NAND": NAND, "OR": OR}
  return ln.Report(
    [
      *(
        ln.Claim(
          "P03" if name == "XOR" else "P01",
          f"{name} by weights set by hand: wrong rows of 4",
          "0",
          wrong[name],
          ln.equals(0),
        )
        for name in GATES
      ),
      *(
        ln.Claim(
          "P01",
          f"{name} by the perceptron rule: mistakes until it makes none",
          f"at most {most_mistakes(unit, TABLES[name]):.1f} (Novikoff's bound)",
          # A gate that is still wrong in the last pass has not been learned.
          mistakes[name].sum() if mistakes[name][-1] == 0 else np.inf,
          ln.at_most(round(most_mistakes(unit, TABLES[name]), 6)),
        )
        for name, unit in single.items()
      ),
      ln.Claim(
        "P02",
        f"XOR by the perceptron rule: fewest mistakes in any of {config.passes} passes",
        "never 0",
        mistakes["XOR"].min(),
        ln.at_least(1),
      ),
      ln.Claim(
        "P02",
        "XOR by the perceptron rule: passes until its weights come back, so that it never ends",
        "never converges",
        cycle,
        ln.at_least(1),
      ),
      ln.Claim(
        "P02",
        "units with XOR's truth table, by linear program (0: infeasible)",
        "0",
        is_separable(TABLES["XOR"]),
        ln.equals(0),
      ),
      ln.Claim(
        "P02",
        "of the 16 gates of two inputs, linearly separable",
        "14: all but XOR and its negation",
        sum(map(is_separable, all_tables)),
        ln.equals(14),
      ),
      ln.Claim(
        "P03",
        "8-bit adder of NANDs only: right sums of all 65,536 pairs",
        "all",
        np.sum(np.asarray(sums) == (pairs[0] + pairs[1]).ravel()),
        ln.equals(65_536),
      ),
    ],
    [
      ln.Picture(
        "decision_regions",
        regions(),
        "One unit cuts the plane by one line, which is enough for three gates; XOR takes the strip "
        "between two lines, those of its first layer, NAND and OR.",
      ),
      ln.function_curves(
        [
          ln.Panel(
            "mistakes in the pass",
            {name: (np.arange(1, len(m) + 1)[:12], m[:12]) for name, m in mistakes.items()},
          )
        ],
        title="The perceptron rule on four gates",
        x="pass over the truth table",
        caption=f"The rule ends for AND, NAND and OR. For XOR its weights come back every {cycle} "
        "pass(es), with mistakes in between.",
        file="perceptron_rule",
      ),
    ],
  )


def regions() -> Figure:
  """Draws the answers of the gates with hand-set weights over the plane."""
  ticks = np.linspace(-0.5, 1.5, 401)
  plane = jnp.meshgrid(jnp.asarray(ticks), jnp.asarray(ticks))
  panels = {
    name: (np.asarray(gate(*plane)), TABLES[name]) for name, gate in GATES.items() if name != "XOR"
  }
  panels["XOR = AND(NAND, OR)"] = (np.asarray(xor(*plane)), TABLES["XOR"])
  names = ("input $x_1$", "input $x_2$")
  return decision_regions(
    panels, ticks, ticks, ROWS, title="Gates by threshold units", axis_names=names, caption=""
  ).figure


experiment = ln.Experiment(Config, run)
