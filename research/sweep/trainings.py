"""The trainings of a sweep's trials: which of them share one program and its data."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from research.config import fields, replace
from research.data.npy_sets import MappedRows
from research.errors import UserError
from research.sweep.space import Choice, Space
from research.sweep.workers import OfRepeat
from research.training import Training


class Trainings:
  """The training of every trial and repetition; those with equal programs and data are one object.

  Which data differ is found by comparing: each repetition's at the space's config, and those at
  the two ends of every swept field that is traced. Repetitions may draw by samplers of their own.

  Attributes:
    training: of a config and a repetition, made anew.
    by_repeat: whether the repetitions of a trial have data or samplers of their own.
    by_field: the swept traced fields on which the data depend.
  """

  def __init__(self, training: OfRepeat, space: Space):
    """Makes a few trainings; compiles nothing."""
    self.training = training
    self._made: dict[Any, Training] = {}
    self.by_repeat = False
    self.by_field: tuple[str, ...] = ()
    if space.repeats > 1:
      one, other = (training(space.config, repeat) for repeat in (0, 1))
      self.by_repeat = one.sampler != other.sampler or not has_equal_data(one, other)
    self.by_field = tuple(
      name
      for name, ends in _ends_of_traced(space)
      if not has_equal_data(*(training(replace(space.config, {name: end}), 0) for end in ends))
    )

  def key(self, config: Any, repeat: int) -> Any:
    """Returns what the trials of one program have in common."""
    values = {field.name: field.value for field in fields(config)}
    own = tuple(values[name] for name in self.by_field)
    return jax.tree.structure(config), own, repeat if self.by_repeat else 0

  def of(self, config: Any, repeat: int) -> Training:
    """Returns the training of one repetition."""
    key = self.key(config, repeat)
    if key not in self._made:
      self._made[key] = self.training(config, repeat)
    return self._made[key]

  def check(self, stopper: str) -> None:
    """Raises a UserError where members are to copy each other and learn from different data."""
    if stopper == "pbt" and self.by_field:
      raise UserError(
        f"--stopper=pbt copies weights between values of {self.by_field[0]}, and the data depend "
        "on it; sweep it with another stopper"
      )


def _ends_of_traced(space: Space) -> Iterator[tuple[str, tuple[Any, Any]]]:
  traced = {field.name for field in fields(space.config) if field.rule.is_traced}
  for name, each in space.distributions.items():
    if name in traced:
      ends = each.values if isinstance(each, Choice) else (each.low, each.high)
      yield name, (ends[0], ends[-1])


def has_equal_data(a: Training, b: Training) -> bool:
  """Tells whether two trainings learn from equal arrays and are evaluated on equal ones."""
  sets = lambda training: {"train": training.data} | dict(training.evaluate)
  first, second = sets(a), sets(b)
  has_same_form = jax.tree.structure(first) == jax.tree.structure(second)  # type: ignore[operator]
  return has_same_form and jax.tree.all(jax.tree.map(_is_equal, first, second))


def _is_equal(a: Any, b: Any) -> bool:
  if isinstance(a, MappedRows) and isinstance(b, MappedRows):
    return a.equals(b)
  return a is b or np.array_equal(a, b)
