"""Configs that are pytrees: numeric knobs are leaves, what fixes a program is static.

    @pytree_config
    class Config:
      \"\"\"Settings of the experiment.\"\"\"
      hidden: int = static(50, "hidden units", at_least=1)
      dropout: float = traced(0.5, "share of units dropped", at_least=0, below=1)
      optimizer: Optimizer = nested(Optimizer(name="adam"))

A change of a traced field never recompiles, and a sweep over traced fields is one program over a
stacked config. A static field is part of the program: its values must be hashable.

A field whose default is None is optional. None, written "off", has no leaf in the pytree and no
entry in a stored config, so that a program, a run and its folder are those of a config without the
field.
"""

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, dataclass_transform

from research import numerals
from research.errors import UserError, unknown_name

T = TypeVar("T")
OFF = "off"  # None, on the command line


@dataclasses.dataclass(frozen=True)
class Rule:
  """The meaning of one field of a config and the values it takes.

  A choice that ends with a colon and a word in capitals, such as "folder:PATH", stands for every
  text that begins as it does.
  """

  help: str
  is_traced: bool
  at_least: float | None = None
  above: float | None = None
  at_most: float | None = None
  below: float | None = None
  choices: tuple[str, ...] = ()
  is_optional: bool = False

  def allowed(self, kind: type) -> str:
    """The admissible values in words, for help texts and errors."""
    if self.choices:
      return "one of " + ", ".join(self.choices)
    noun = {int: "a whole number", float: "a finite number", bool: "true or false"}.get(kind, "")
    noun = noun or ("a comma-separated list of whole numbers" if kind is tuple else "a text")
    bounds = [
      f"{word} {bound if isinstance(bound, int) else format(bound, 'g')}"
      for word, bound in (
        ("of at least", self.at_least),
        ("above", self.above),
        ("of at most", self.at_most),
        ("below", self.below),
      )
      if bound is not None
    ]
    words = [noun, " and ".join(bounds), "or off" if self.is_optional else ""]
    return " ".join(filter(None, words))

  def problem(self, value: Any) -> str | None:
    """Says what is wrong with a value of the right type; None when nothing is."""
    if value is None and self.is_optional:
      return None
    if self.choices:
      is_known = any(_is_choice(value, choice) for choice in self.choices)
      return None if is_known else "is not among the choices"
    for number in value if isinstance(value, tuple) else (value,):
      if isinstance(number, str):
        continue
      if not math.isfinite(number):
        return "is not finite"
      too_small = (self.at_least is not None and number < self.at_least) or (
        self.above is not None and number <= self.above
      )
      too_large = (self.at_most is not None and number > self.at_most) or (
        self.below is not None and number >= self.below
      )
      if too_small or too_large:
        return "is too small" if too_small else "is too large"
      largest = numerals.LARGEST if isinstance(number, int) else numerals.LARGEST_REAL
      if abs(number) > largest:
        return f"is beyond {largest}"
    return None


def _is_choice(value: Any, choice: str) -> bool:
  start, colon, word = choice.partition(":")
  if not (colon and word.isupper()):
    return bool(value == choice)
  return isinstance(value, str) and value.startswith(start + colon) and value != start + colon


def static(default: T, help: str, **bounds: Any) -> T:
  """A field that fixes a shape or a program: changing it compiles anew."""
  rule = Rule(help, False, **bounds, is_optional=default is None)
  return dataclasses.field(default=default, metadata={"rule": rule})


def traced(default: float | None, help: str, **bounds: Any) -> float:
  """A numeric knob: a leaf of the pytree, an argument of the compiled program."""
  rule = Rule(help, True, **bounds, is_optional=default is None)
  return dataclasses.field(default=typing.cast(float, default), metadata={"rule": rule})


def nested(default: T) -> T:
  """A config within the config; its fields are named `nested.field`."""
  return dataclasses.field(default=default, metadata={"nested": True})


@dataclass_transform(frozen_default=True)
def pytree_config(cls: type[T]) -> type[T]:
  """Makes the class a frozen dataclass and a JAX pytree.

  Raises:
    TypeError: for a field that is not declared with `static`, `traced` or `nested`.
  """
  import jax  # slow, and the list of runs, which reads settings without any config, goes without

  # A nested config is an instance, hashable because it is frozen; dataclasses accept it as such.
  cls = dataclasses.dataclass(frozen=True)(cls)
  if any(isinstance(field.type, str) for field in dataclasses.fields(cls)):  # type: ignore[arg-type]
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
      field.type = typing.get_type_hints(cls)[field.name]  # of `from __future__ import annotations`
  data, meta = [], []
  for field in dataclasses.fields(cls):  # type: ignore[arg-type]
    rule = field.metadata.get("rule")
    if "nested" in field.metadata or (rule and rule.is_traced):
      data.append(field.name)
    elif rule:
      meta.append(field.name)
    else:
      raise TypeError(f"{cls.__name__}.{field.name}: declare it with static, traced or nested")
  return jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=meta)


@dataclasses.dataclass(frozen=True)
class Field:
  """A leaf field under its dotted name, with the value it has in some config."""

  name: str
  kind: type
  rule: Rule
  value: Any

  def parse(self, text: str) -> Any:
    """Reads a value from the command line.

    Raises:
      ValueError: naming the value and what is allowed.
    """
    problem = None
    value: Any = text
    if self.rule.is_optional and text.lower() == OFF:
      return None
    try:
      if self.kind is bool:
        value = {"true": True, "1": True, "false": False, "0": False}[text.lower()]
      elif self.kind is tuple:
        value = tuple(numerals.whole(item) for item in text.split(","))
      elif self.kind is int:
        value = numerals.whole(text)
      elif self.kind is float:
        value = numerals.real(text)
    except KeyError:
      problem = "cannot be read"
    except ValueError as error:
      problem = "cannot be read" if self.kind is tuple else str(error)
    problem = problem or self.rule.problem(value)
    if problem:
      raise ValueError(
        f"{text!r} {problem}; give {self.rule.allowed(self.kind)} (default {show(self.value)})"
      )
    return value

  def parse_item(self, text: str) -> Any:
    """`parse` for a value in a list, where one that has separators itself stands in brackets."""
    is_enclosed = self.kind in (tuple, str) and text.startswith("(") and text.endswith(")")
    return self.parse(text[1:-1] if is_enclosed else text)


def split_list(text: str, separator: str) -> list[str]:
  """Splits at the separators that no bracket encloses; strips the items."""
  return [item.strip() for item in re.split(rf"{separator}(?![^()]*\))", text)]


def show_item(value: Any) -> str:
  """`show` for a value in a list."""
  text = show(value)
  return f"({text})" if isinstance(value, tuple) or re.search("[,;]", text) else text


def show(value: Any) -> str:
  """A field's value as it is written on the command line; a list, as JSON has it, is a tuple."""
  if value is None:
    return OFF
  if isinstance(value, tuple | list):
    return ",".join(str(item) for item in value)
  if isinstance(value, bool):
    return str(value).lower()
  return str(value)


def fields(value: Any, prefix: str = "") -> Iterator[Field]:
  """All leaf fields of a config instance, parts expanded, in the order of their declaration."""
  for field in dataclasses.fields(value):
    held = getattr(value, field.name)
    if "nested" in field.metadata:
      yield from fields(held, f"{prefix}{field.name}.")
    else:
      yield Field(prefix + field.name, _kind(field.type), field.metadata["rule"], held)


def _kind(annotation: Any) -> type:
  """The type of a field's values other than None; that of a list is `tuple`."""
  if isinstance(annotation, types.UnionType):
    annotation = next(each for each in typing.get_args(annotation) if each is not types.NoneType)
  return tuple if typing.get_origin(annotation) is tuple else annotation


def flatten(value: Any) -> dict[str, Any]:
  """The config as a flat dictionary from dotted names to plain values; what is off is left out."""
  return {field.name: field.value for field in fields(value) if field.value is not None}


def replace(value: T, changes: Mapping[str, Any]) -> T:
  """A copy with the fields under the given dotted names changed.

  Raises:
    UserError: for an unknown name (with the nearest one) or a value outside of the field's rule.
  """
  known = {field.name: field for field in fields(value)}
  for name, new in changes.items():
    if name not in known:
      raise UserError(unknown_name(name, known, "field"))
    problem = known[name].rule.problem(new)
    if problem:
      allowed = known[name].rule.allowed(known[name].kind)
      raise UserError(f"{name}={show(new)} {problem}; give {allowed}")

  def rebuild(node: Any, prefix: str) -> Any:
    new = {}
    for field in dataclasses.fields(node):
      held, name = getattr(node, field.name), prefix + field.name
      if "nested" in field.metadata:
        new[field.name] = rebuild(held, name + ".")
      else:
        new[field.name] = changes.get(name, held)
    return type(node)(**new)

  return rebuild(value, "")


def from_json(default: T, flat: Mapping[str, Any]) -> T:
  """The inverse of `flatten` after a trip through JSON (which turns tuples into lists).

  An optional field without an entry is off, whatever the default.

  Raises:
    UserError: for an unknown name, or a value of another type or outside of the field's rule.
  """
  changes = {k: tuple(v) if isinstance(v, list) else v for k, v in flat.items()}
  for field in fields(default):
    if field.rule.is_optional and changes.setdefault(field.name, None) is None:
      continue
    value = changes.get(field.name, field.value)
    items = value if field.kind is tuple and isinstance(value, tuple) else (value,)
    kinds = {float: (float, int), tuple: (int,)}.get(field.kind, (field.kind,))
    if (field.kind is tuple) != isinstance(value, tuple) or any(
      type(item) not in kinds for item in items
    ):
      raise UserError(
        f"{field.name}={json.dumps(value)[:80]} is of another type; "
        f"give {field.rule.allowed(field.kind)}"
      )
  return replace(default, changes)


def digest(*parts: Any) -> str:
  """A short name for any JSON-like value, equal for equal values."""
  text = json.dumps(parts, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:10]
