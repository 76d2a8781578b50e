"""Groups of parameters with a rate and a weight decay of their own, or frozen, by one line of text.

    Conv_: frozen; Dense_0/kernel: rate=0.1, decay=0; .*bias: rate=2

Each group is a pattern, a colon, and what is special about it. The pattern is a regular expression
that a path such as "Conv_0/kernel" begins with; a parameter belongs to the first group that it
fits, and to none where it fits none. `rate` and `decay` are factors of the learning rate and of the
weight decay, so that both may still be scheduled and swept. A frozen parameter stays as it is, has
no optimizer state and counts for no gradient's norm; running statistics of a layer go on.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import optax

from research import numerals
from research.errors import MOST_NAMES, UserError

REST = "rest"  # the label of the parameters of no group
FROZEN = "frozen"
FACTORS = ("rate", "decay")


class Group(NamedTuple):
  """Parameters whose paths begin with a pattern, and no earlier group's.

  Attributes:
    pattern: regular expression.
    rate: factor of the learning rate.
    decay: factor of the weight decay.
    is_frozen: whether the parameters stay as they are.
  """

  pattern: str
  rate: float = 1.0
  decay: float = 1.0
  is_frozen: bool = False


def parse(text: str | None) -> tuple[Group, ...]:
  """Reads groups, such as "Conv_: frozen; Dense_0: rate=0.1, decay=0"; () from None.

  Raises:
    UserError: naming the part that cannot be read.
  """
  return tuple(_group(part.strip()) for part in (text or "").split(";") if part.strip())


def _group(part: str) -> Group:
  wanted = "write PATTERN: frozen, or PATTERN: rate=NUMBER, decay=NUMBER"
  pattern, colon, said = (each.strip() for each in part.rpartition(":"))
  if not (pattern and colon and said):
    raise UserError(f"groups: {part!r} is no group; {wanted}")
  check_pattern("groups", pattern)
  if said == FROZEN:
    return Group(pattern, is_frozen=True)
  factors: dict[str, float] = {}
  for setting in said.split(","):
    name, is_given, value = (each.strip() for each in setting.partition("="))
    if name not in FACTORS or not is_given or name in factors:
      raise UserError(f"groups: {setting.strip()!r} of {part!r} cannot be read; {wanted}")
    try:
      factors[name] = numerals.real(value)
    except ValueError as error:
      raise UserError(f"groups: {name}={value!r} of {part!r} {error}; {wanted}") from error
    if not 0 <= factors[name] <= numerals.LARGEST_REAL:
      raise UserError(f"groups: {name}={value} of {part!r}: give a finite number of at least 0")
  return Group(pattern, factors.get("rate", 1.0), factors.get("decay", 1.0))


def check_pattern(setting: str, pattern: str) -> None:
  """Raises UserError where a pattern that a setting gives is no regular expression."""
  try:
    re.compile(pattern)
  except re.error as error:
    raise UserError(f"{setting}: {pattern!r} is no regular expression: {error}") from error


def labels(groups: Sequence[Group], params: optax.Params) -> optax.Params:
  """The number of each parameter's group, as text; FROZEN for the frozen, REST for the others.

  Args:
    groups: as `parse` reads them.
    params: whose paths are meant; shapes are enough.

  Raises:
    UserError: for a group without parameters, with the paths there are.
  """
  paths = [_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
  numbers = [_number(groups, path) for path in paths]
  for number, group in enumerate(groups):
    if number in numbers:
      continue
    if any(re.match(group.pattern, path) for path in paths):
      raise UserError(f"groups: all that {group.pattern!r} fits belongs to earlier groups")
    listed = paths if len(paths) <= 2 * MOST_NAMES else _modules(paths)
    raise UserError(
      f"groups: no parameter's path begins with {group.pattern!r}; there are {', '.join(listed)}"
    )

  def label(path: jax.tree_util.KeyPath, _: jax.Array) -> str:
    number = _number(groups, _path(path))
    if number is None:
      return REST
    return FROZEN if groups[number].is_frozen else str(number)

  return jax.tree_util.tree_map_with_path(label, params)


def by_group(
  groups: Sequence[Group], rule: Callable[[float, float], optax.GradientTransformation]
) -> optax.GradientTransformation:
  """The optimizer that gives each group its own rule.

  Args:
    groups: as `parse` reads them; without any, the rule at factors of 1.
    rule: gives the rule from the factors of the learning rate and of the weight decay.
  """
  if not groups:
    return rule(1.0, 1.0)
  rules = {
    str(number): rule(group.rate, group.decay)
    for number, group in enumerate(groups)
    if not group.is_frozen
  }
  frozen = {FROZEN: optax.set_to_zero()} if any(group.is_frozen for group in groups) else {}
  return optax.partition({REST: rule(1.0, 1.0)} | rules | frozen, functools.partial(labels, groups))


def without_frozen(groups: Sequence[Group]) -> optax.GradientTransformation:
  """Sets the gradients of frozen parameters to zero, so that they count for no norm."""

  def is_frozen(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda label: label == FROZEN, labels(groups, params))

  return optax.masked(optax.set_to_zero(), is_frozen)


def _number(groups: Sequence[Group], path: str) -> int | None:
  fits = (number for number, group in enumerate(groups) if re.match(group.pattern, path))
  return next(fits, None)


def _path(path: jax.tree_util.KeyPath) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def _modules(paths: Sequence[str]) -> list[str]:
  """The first parts of many paths, each once."""
  return list(dict.fromkeys(path.partition("/")[0] + "/" for path in paths))
