"""An accelerator takes either of two values that one scatter writes to one place."""

import importlib

import jax
import pytest

from research.config import replace
from research.rl import sum_tree


def scatters(jaxpr):
  """All that overwrite, at any depth."""
  for equation in jaxpr.eqns:
    if equation.primitive.name == "scatter":
      yield equation
    for value in jax.tree.leaves(list(equation.params.values())):
      inner = getattr(value, "jaxpr", value)
      if hasattr(inner, "eqns"):
        yield from scatters(inner)


def unordered(name, changes):
  """Scatters of more than one index that do not promise that no two are equal."""
  module = importlib.import_module(f"experiments.reinforcement.{name}")
  config = replace(module.Config(), changes)
  init, step, *_ = module.training(config, 0).learner
  state = jax.eval_shape(init, config, jax.random.key(0))
  program = jax.make_jaxpr(lambda state: step(config, state, {}))(state).jaxpr
  return [
    equation
    for equation in scatters(program)
    if equation.invars[1].aval.ndim > 1 and not equation.params["unique_indices"]
  ]


PRIORITISED = {"agent.replay": "prioritised", "agent.replay_capacity": 1000}


@pytest.mark.parametrize(
  ("name", "changes", "package"),
  [
    ("q_learning", {}, "jax"),
    ("dqn_catch", PRIORITISED, "jax"),
    ("dqn_cartpole", PRIORITISED, "jax"),
    ("dqn_minatar", PRIORITISED, "pgx"),
    ("rainbow", PRIORITISED, "pgx"),
    ("dqn_gymnasium", PRIORITISED, "gymnasium"),
    ("dqn_atari", PRIORITISED, "ale_py"),
  ],
)
def test_only_the_sum_tree_may_write_one_place_twice(monkeypatch, name, changes, package):
  pytest.importorskip(package)
  found = unordered(name, changes)
  # Which it does with equal values: `test_replay` has both orders. A level each, twice a step.
  monkeypatch.setattr(sum_tree, "update", lambda tree, leaves, values: tree)
  assert not unordered(name, changes)
  assert bool(found) == bool(changes)
