"""Members of a comparison in groups, each of which can be lanes of one program."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from research.sweep.trainings import has_equal_data
from research.training import Training


def by_program(
  configs: Mapping[str, Any], training: Callable[[Any], Training]
) -> list[tuple[dict[str, Any], Training]]:
  """Groups configs that can be lanes of one program, each group with its training."""
  groups: list[tuple[dict[str, Any], Training]] = []
  for name, config in configs.items():
    own = training(config)
    for group, shared in groups:
      first = next(iter(group.values()))
      is_same_program = jax.tree.structure(first) == jax.tree.structure(config)  # type: ignore[operator]
      if is_same_program and _is_equal(own, shared):
        group[name] = config
        break
    else:
      groups.append(({name: config}, own))
  return groups


def _is_equal(a: Training, b: Training) -> bool:
  without_data = lambda training: training._replace(data=None, evaluate=None)
  return without_data(a) == without_data(b) and has_equal_data(a, b)
