"""Search spaces: one distribution for each swept field of a config.

    optimizer.learning_rate=log(1e-4,0.1); optimizer.beta1=oneminus(0.5,0.999); hidden=int(10,500)

Every distribution is a monotone map from the unit interval, so that a sampler only has to place
points in the unit cube, and what is near in the cube is near on the parameter's own scale.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from research.config import Field, fields, replace, show_item, split_list
from research.errors import UserError, unknown_name


class Scale(NamedTuple):
  """A monotone map of a parameter, after which its distribution is uniform, and the inverse."""

  forward: Any
  inverse: Any


SCALES = {
  "linear": Scale(lambda value: value, lambda position: position),
  "log": Scale(math.log, math.exp),
  # Falling, so that a larger unit is a larger value: -log(1 - value).
  "oneminus": Scale(lambda value: -math.log1p(-value), lambda position: -math.expm1(-position)),
}


@dataclasses.dataclass(frozen=True)
class Range:
  """A range of numbers, uniform on a scale; of whole numbers both ends are as likely as others.

  Attributes:
    scale: one of SCALES.
    low: the smallest value.
    high: the largest value.
    whole: whether only whole numbers are drawn.
  """

  scale: str
  low: float
  high: float
  whole: bool = False

  def value(self, unit: float) -> float | int:
    """Returns the value at a place in [0, 1]."""
    forward, inverse = SCALES[self.scale]
    start, end = forward(self.low), forward(self.high + self.whole)
    value = inverse(start + unit * (end - start))
    if self.whole:
      return min(max(math.floor(value), int(self.low)), int(self.high))
    return min(max(value, self.low), self.high)

  def unit(self, value: float) -> float:
    """Returns the place in [0, 1] of a value; of a whole number, the middle of its share."""
    forward = SCALES[self.scale].forward
    start, end = forward(self.low), forward(self.high + self.whole)
    at = (forward(value) + forward(value + self.whole)) / 2
    return (at - start) / (end - start)

  def grid(self, points: int) -> Sequence[float | int]:
    """Returns about `points` values, evenly spaced from end to end, computed on demand."""
    even = _Even(self, points)
    is_dense = self.whole and self.scale == "log"  # small numbers would come several times
    return list(dict.fromkeys(even)) if is_dense else even

  def distinct(self) -> float:
    """Returns the number of different values."""
    return self.high - self.low + 1 if self.whole else math.inf

  def between(self, start: float, end: float, field: Field) -> "Range":
    """Returns the range from one place to another, also beyond [0, 1] where the field allows it."""
    forward, inverse = SCALES[self.scale]
    origin, length = forward(self.low), forward(self.high + self.whole) - forward(self.low)
    low, high = (inverse(origin + place * length) for place in (start, end))
    if self.whole:
      low, high = math.floor(low), max(math.ceil(high) - 1, math.floor(low) + 1)
    bounds = dataclasses.replace(self, low=low, high=high)
    inside = lambda value, own: value if field.rule.problem(field.kind(value)) is None else own
    return dataclasses.replace(bounds, low=inside(low, self.low), high=inside(high, self.high))

  def __str__(self) -> str:
    name = {
      ("linear", False): "uniform",
      ("linear", True): "int",
      ("log", True): "logint",
    }.get((self.scale, self.whole), self.scale)
    return f"{name}({self.low:.6g},{self.high:.6g})"


@dataclasses.dataclass(frozen=True)
class _Even(Sequence):
  """Evenly spaced values of a range from its low end on; a single one is its middle."""

  range: Range
  points: int

  def __len__(self) -> int:
    return self.points

  def __getitem__(self, point: Any) -> Any:
    if not -self.points <= point < self.points:
      raise IndexError(point)
    place = point % self.points / (self.points - 1) if self.points > 1 else 0.5
    return self.range.value(place)


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of some values, all equally likely."""

  values: tuple[Any, ...]

  def value(self, unit: float) -> Any:
    """Returns the value at a place in [0, 1]."""
    return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

  def unit(self, value: Any) -> float:
    """Returns the middle of the value's share of [0, 1]."""
    return (self.values.index(value) + 0.5) / len(self.values)

  def grid(self, points: int) -> list[Any]:
    """Returns all values, however many points are asked for."""
    del points
    return list(self.values)

  def distinct(self) -> float:
    """Returns the number of different values."""
    return len(self.values)

  def __str__(self) -> str:
    return f"choice({','.join(map(show_item, self.values))})"


Distribution = Range | Choice


class Space(NamedTuple):
  """The swept fields of a config, and how often each trial is repeated.

  Attributes:
    config: what all trials have in common.
    distributions: by the field's dotted name.
    repeats: seeds of each trial; a trial's score is their mean.
  """

  config: Any
  distributions: dict[str, Distribution]
  repeats: int = 1

  def trial(self, units: Sequence[float]) -> dict[str, Any]:
    """Returns the values of the swept fields at a point of the unit cube."""
    pairs = zip(self.distributions.items(), units, strict=True)
    return {name: distribution.value(unit) for (name, distribution), unit in pairs}

  def units(self, values: dict[str, Any]) -> list[float]:
    """Returns the point of the unit cube at which a trial lies."""
    return [each.unit(values[name]) for name, each in self.distributions.items()]

  def distinct(self) -> Any:
    """Returns the number of different trials: a whole number, or infinity."""
    counts = [each.distinct() for each in self.distributions.values()]
    return math.inf if math.inf in counts else math.prod(map(int, counts))

  def at(self, values: dict[str, Any]) -> Any:
    """Returns the config of a trial."""
    return replace(self.config, values)

  def __str__(self) -> str:
    parts = [f"{name}={each}" for name, each in self.distributions.items()]
    return "; ".join(parts + ([f"seeds({self.repeats})"] if self.repeats > 1 else []))


def parse(text: str, config: Any) -> Space:
  """Parses a space, such as "optimizer.learning_rate=log(1e-4,1e-1)".

  Raises:
    UserError: in one line, for a field that the config does not have, a distribution that is not
      known, bounds that are reversed or not allowed, a range where the field takes none.
  """
  known = {field.name: field for field in fields(config)}
  distributions: dict[str, Distribution] = {}
  repeats: int | None = None
  for part in filter(None, split_list(text, ";")):
    match = re.fullmatch(r"(?:([\w.]+)\s*=\s*)?(\w+)\s*\((.*)\)", part, re.DOTALL)
    if match is None:
      raise UserError(f"--sweep: {part!r} is not of the form field=distribution(...)")
    name, kind, inside = match.groups()
    arguments = _split(inside, part)
    if name is None:
      if repeats is not None:
        raise UserError(f"--sweep: seeds({repeats}) and {part}; leave one of them out")
      repeats = _repeats(part, kind, arguments)
      continue
    if name not in known:
      raise UserError(f"--sweep: {unknown_name(name, known, 'field')}")
    if name in distributions:
      raise UserError(f"--sweep: {name} is swept twice; leave one of them out")
    distributions[name] = _distribution(known[name], kind, arguments, part)
  if not distributions:
    raise UserError("--sweep names no field; give for instance optimizer.learning_rate=log(1e-4,1)")
  return Space(config, distributions, repeats or 1)


def _split(inside: str, part: str) -> list[str]:
  """Splits arguments at the commas that no bracket encloses."""
  arguments = split_list(inside, ",")
  if arguments == [""]:
    return []
  for argument in arguments:
    if not re.fullmatch(r"\([^()]*\)|[^()]+", argument):
      problem = f"{argument!r} has brackets that do not fit" if argument else "an argument is empty"
      raise UserError(f"--sweep: {part}: {problem}")
  return arguments


def _repeats(part: str, kind: str, arguments: list[str]) -> int:
  if kind != "seeds":
    raise UserError(f"--sweep: {part!r} names no field; write field={part}")
  if len(arguments) != 1 or not re.fullmatch("[1-9][0-9]*", arguments[0]):
    raise UserError(f"--sweep: {part!r} needs one whole number of at least 1, as in seeds(3)")
  return int(arguments[0])


RANGES = {
  "uniform": ("linear", False),
  "log": ("log", False),
  "oneminus": ("oneminus", False),
  "int": ("linear", True),
  "logint": ("log", True),
}


def _distribution(field: Field, kind: str, arguments: list[str], part: str) -> Distribution:
  if kind != "choice" and kind not in RANGES:
    names = [*RANGES, "choice", "seeds"]
    raise UserError(f"--sweep: {part}: {unknown_name(kind, names, 'distribution')}")
  try:
    if kind == "choice":
      return _choice(field, arguments)
    return _range(field, kind, arguments)
  except ValueError as error:
    raise UserError(f"--sweep: {part}: {error}") from error


def _choice(field: Field, arguments: list[str]) -> Choice:
  values = tuple(map(field.parse_item, arguments))
  if not values:
    raise ValueError("a choice needs at least one value")
  if len(set(values)) < len(values):
    raise ValueError("a value stands twice in the choice")
  return Choice(values)


def _range(field: Field, kind: str, arguments: list[str]) -> Range:
  scale, whole = RANGES[kind]
  if field.kind not in (int, float):
    raise ValueError(f"{field.name} is no number; give choice(...)")
  if field.kind is int and not whole:
    raise ValueError(f"{field.name} takes whole numbers; give int(...), logint(...) or choice(...)")
  if len(arguments) != 2:
    raise ValueError(f"{kind} takes two bounds, as in {kind}(a,b)")
  low, high = (field.parse(argument) for argument in arguments)
  if whole and (low != int(low) or high != int(high)):
    raise ValueError(f"{kind} takes whole bounds")
  if not low < high:
    raise ValueError("the bounds are " + ("reversed" if low > high else "equal; fix the field"))
  if scale == "log" and low <= 0:
    raise ValueError("a logarithmic scale needs bounds above 0")
  if scale == "oneminus" and not (low >= 0 and high < 1):
    raise ValueError("oneminus needs bounds of at least 0 and below 1")
  return Range(scale, low, high, whole)
