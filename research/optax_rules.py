"""Any of optax's update rules by its name, with its own fields: `optax:lion` and `b1=0.95`."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from research import numerals
from research.errors import UserError, unknown_name

PREFIX = "optax:"
GIVEN = ("learning_rate", "weight_decay")  # by flags of every optimizer
NO_NUMBERS = ("mask", "dtype", "dtype_momentum", "_fn", "key", "kwargs", "optimizer", "numbers")


@functools.cache
def names() -> tuple[str, ...]:
  """The rules that optax and optax.contrib have, as functions of a learning rate.

  Without the schedule-free ones, whose weights in evaluation are others than those that they move.
  """
  return tuple(sorted({name for home in (optax.contrib, optax) for name in _rules_in(home)}))


def _rules_in(home: Any) -> list[str]:
  functions = {name: value for name, value in vars(home).items() if inspect.isfunction(value)}
  is_rule = lambda function: "learning_rate" in inspect.signature(function).parameters
  return [
    name
    for name, function in functions.items()
    if is_rule(function) and not name.startswith(("_", "scale_by_", "schedule_free"))
  ]


def build(
  name: str,
  text: str | None,
  rate: optax.ScalarOrSchedule,
  decay: Any,
  is_weight: Callable[[optax.Params], optax.Params],
  *,
  has_loss: bool = False,
) -> tuple[optax.GradientTransformation, bool]:
  """The rule, and whether it has the weight decay inside.

  Args:
    name: without the prefix.
    text: its own fields, as in "b1=0.95, nesterov=true".
    rate: the learning rate or its schedule.
    decay: the weight decay; given to a rule that has one, on weights alone where it takes a mask.
    is_weight: tells weights from other parameters.
    has_loss: whether the rule will be given the loss as a function, which line searches call.

  Raises:
    UserError: for an unknown rule or field, or a rule that needs more than it is given.
  """
  rule, fields = _rule(name), read_fields(name, text)
  known = inspect.signature(rule).parameters
  has_decay = "weight_decay" in known
  if has_decay:
    fields |= {"weight_decay": decay}
    fields |= {mask: is_weight for mask in ("mask", "weight_decay_mask") if mask in known}
  _try(name, text, callable(rate), has_decay, has_loss)
  return rule(rate, **fields), has_decay


def _rule(name: str) -> Callable[..., optax.GradientTransformation]:
  if name not in names():
    raise UserError(unknown_name(name, names(), "optax optimizer"))
  return vars(optax).get(name) or vars(optax.contrib)[name]


def read_fields(name: str, text: str | None) -> dict[str, Any]:
  """Reads a rule's own fields.

  Raises:
    UserError: for a field that the rule does not have, or a value of another type.
  """
  own = _settable(_rule(name))
  found: dict[str, Any] = {}
  for part in filter(None, map(str.strip, (text or "").split(","))):
    field, is_given, value = (each.strip() for each in part.partition("="))
    if field in GIVEN:
      raise UserError(f"fields: {field} is set by --optimizer.{field}")
    if not is_given or field in found:
      raise UserError(f"fields: {part!r} cannot be read; write NAME=VALUE, NAME=VALUE")
    if field not in own:
      raise UserError(f"fields: optax:{name} has no {field!r}; it has {', '.join(own) or 'none'}")
    try:
      found[field] = _value(value, own[field])
    except ValueError as error:
      raise UserError(f"fields: {field}={value!r} of optax:{name} {error}") from error
  missing = [field for field, default in own.items() if default is inspect.Parameter.empty]
  if needed := [field for field in missing if field not in found]:
    raise UserError(f"optax:{name} needs {', '.join(needed)}; give them as fields, NAME=VALUE")
  return found


def _settable(rule: Callable[..., Any]) -> Mapping[str, Any]:
  """The parameters that are numbers or switches, with their defaults."""
  empty = inspect.Parameter.empty
  return {
    name: parameter.default
    for name, parameter in inspect.signature(rule).parameters.items()
    if (isinstance(parameter.default, int | float | None) or parameter.default is empty)
    and name not in GIVEN
    and not name.endswith(NO_NUMBERS)
  }


def _value(text: str, default: Any) -> bool | int | float:
  if isinstance(default, bool):
    try:
      return {"true": True, "false": False}[text.lower()]
    except KeyError:
      raise ValueError("is neither true nor false") from None
  if isinstance(default, float):
    return numerals.real(text)
  try:
    return numerals.whole(text)
  except ValueError:
    if isinstance(default, int):
      raise
    return numerals.real(text)


@functools.cache
def _try(name: str, text: str | None, is_scheduled: bool, has_decay: bool, has_loss: bool) -> None:
  """Raises UserError where the rule cannot be built from tracers or moved by what it is given."""
  params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
  own = read_fields(name, text)

  def moved(rate: Any, decay: Any) -> Any:
    fields = own | ({"weight_decay": decay} if has_decay else {})
    update = _rule(name)((lambda step: rate) if is_scheduled else rate, **fields)
    search = {"grad": params, "value_fn": optax.tree.sum} if has_loss else {}
    return optax.with_extra_args_support(update).update(
      params, update.init(params), params, value=jnp.float32(1), **search
    )

  try:
    jax.eval_shape(moved, jnp.float32(0.1), jnp.float32(0.1))
  except Exception as error:  # of whatever in it
    why = " ".join(str(error).split())[:120]
    raise UserError(f"optax:{name} cannot be used here ({type(error).__name__}: {why})") from error
