"""Imports only go down the floors of the house, as ARCHITECTURE.md draws them."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent
# From the top floor to the ground; a module may import from its own floor and from those below it.
FLOORS = [
  ["launch"],
  ["experiments"],
  ["research.cli"],
  ["research.reporting"],
  ["research.lab"],
  ["research.sweep"],
  ["research.lanes"],
  ["research.streaming"],
  ["research.planning"],
  ["research.compile"],
  ["research.rl"],
  ["research.energy"],
  ["research.analysis"],
  ["research.figures"],
  ["research.downpour"],
  ["research.task"],
  ["research.training"],
  ["research.truncated_bptt", "research.buckets", "research.weight_average", "research.gan"],
  ["research.learner_transforms"],
  ["research.learner"],
  ["research.micro_batches", "research.class_balance"],
  ["research.models"],
  ["research.data"],
  ["research.store"],
  ["research.optimizers", "research.losses", "research.report"],
  ["research.metrics", "research.precision"],
  ["research.layers"],
  ["research.set_metrics"],
  ["research.initializers", "research.flops"],
  ["research.schedules", "research.parameter_groups", "research.optax_rules"],
  ["research.batch", "research.free_memory"],
  ["research.target_platform"],
  ["research.parameter_server"],
  ["research.config", "research.experiment_file"],
  ["research.errors", "research.numerals", "research.directions"],
]
# What one module knows of the file system and another of Orbax stays there.
ONLY_IN = {
  "orbax": {"research/store/checkpoint.py"},
  "tensorboardX": {"research/store/tensorboard.py"},
  "tensorflow": set(),
}


def floor_of(module):
  for number, names in enumerate(FLOORS):
    if any(module == name or module.startswith(name + ".") for name in names):
      return number
  return None


def imports_of(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules():
  paths = [ROOT / "launch.py", *ROOT.glob("research/**/*.py"), *ROOT.glob("experiments/**/*.py")]
  return [path.relative_to(ROOT) for path in paths if path.name != "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_only_go_down(path):
  module = ".".join(path.with_suffix("").parts)
  own = floor_of(module)
  assert own is not None, f"{module} stands on no floor: add it to FLOORS and to ARCHITECTURE.md"
  for imported in imports_of(ROOT / path):
    floor = floor_of(imported)
    assert floor is None or floor >= own, f"{module} must not import {imported}, which is above it"
  for package, allowed in ONLY_IN.items():
    uses = any(name.split(".")[0] == package for name in imports_of(ROOT / path))
    assert not uses or str(path) in allowed, f"{package} is used in {path}"


def test_an_experiment_imports_no_other_experiment():
  for path in ROOT.glob("experiments/*/*.py"):
    assert not [name for name in imports_of(path) if name.startswith("experiments")], path
