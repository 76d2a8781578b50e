"""Rosenblatt's perceptron rule on four gates, and which gates one unit can be (P01, P02).

The rule learns AND, NAND and OR within Novikoff's (1962) bound on its mistakes, (R / margin)^2,
where the margin is that of the weights in Saito 2016, chapter 2. XOR it never learns, for no unit
has that truth table (Minsky and Papert 1969).

    python launch.py --experiment=perceptron_rule

Expected: 14 of the 16 gates of two inputs separable, XOR not among them. No training on data; about
5 seconds on two CPU cores.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

import research as ln
from research.models.threshold_units import AND, NAND, OR, ROWS, TABLES, Unit, fire


@ln.pytree_config
class Config:
  """There is no learning rate: from zero weights it would scale them and change no answer."""

  passes: int = ln.static(
    100, "passes over the truth table that the perceptron rule makes", at_least=1
  )


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
  """Tells whether some unit has this truth table, by a linear program for its weights.

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
  """The rule on every gate, and the linear programs."""
  del lab
  rule = jax.jit(perceptron_rule, static_argnums=1)
  learned = {name: rule(jnp.array(table), config.passes) for name, table in TABLES.items()}
  mistakes = {name: np.asarray(result.mistakes) for name, result in learned.items()}
  single, claims = ln.claims("P01"), []
  for name, unit in {"AND": AND, "NAND": NAND, "OR": OR}.items():
    bound = most_mistakes(unit, TABLES[name])
    # A gate that is still wrong in the last pass has not been learned.
    made = mistakes[name].sum() if mistakes[name][-1] == 0 else np.inf
    what, source = (
      f"{name} by the perceptron rule: mistakes until it makes none",
      "(Novikoff's bound)",
    )
    claims.append(single(what, f"at most {bound:.1f} {source}", made, ln.at_most(round(bound, 6))))
  none, least, cycle = ln.claims("P02"), mistakes["XOR"].min(), cycle_length(learned["XOR"])
  separable = is_separable(TABLES["XOR"])
  every = sum(is_separable(tuple((code >> row) & 1 for row in range(4))) for code in range(16))
  what = "XOR by the perceptron rule:"
  fewest = f"{what} fewest mistakes in any of {config.passes} passes"
  back = f"{what} passes until its weights come back, so that it never ends"
  units = "units with XOR's truth table, by linear program (0: infeasible)"
  of_all = "of the 16 gates of two inputs, linearly separable"
  claims += [
    none(fewest, "never 0", least, ln.at_least(1)),
    none(back, "never converges", cycle, ln.at_least(1)),
    none(units, "0", separable, ln.equals(0)),
    none(of_all, "14: all but XOR and its negation", every, ln.equals(14)),
  ]
  curves = {name: (np.arange(1, len(m) + 1)[:12], m[:12]) for name, m in mistakes.items()}
  ends = [name for name, made in mistakes.items() if made[-1] == 0]
  cycles = (
    f"come back every {f'{cycle} passes' if cycle > 1 else 'pass'}"
    if cycle
    else "have not come back"
  )
  picture = ln.function_curves(
    [ln.Panel("mistakes in the pass", curves)],
    title="The perceptron rule on four gates",
    x="pass over the truth table",
    caption=f"Gates without a mistake in the last of {config.passes} passes: "
    f"{', '.join(ends) or 'none'}. For XOR the weights {cycles}.",
    file="perceptron_rule",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
