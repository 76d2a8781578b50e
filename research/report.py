"""Reports: claims, each measured against a published number, and pictures.

An experiment ends with a `Report`. Each `Claim` sets our number beside the source's and says, with
a `Bar`, what it takes to have reproduced it:

  Claim("C06", "test accuracy after 20 epochs", "98.96 % (book)", accuracy, at_least(0.987), "%")

Nothing here draws, writes or imports anything heavy.
"""

import dataclasses
import math
import operator
import re
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat, get_args

if TYPE_CHECKING:
  from matplotlib.figure import Figure

Relation = Literal["at least", "at most", "above", "below", "equals", "within", "within ratio"]
Verdict = Literal["pass", "fail", "undecided"]

PERCENT = "%"
PICTURES = (".gif", ".png")  # what a picture's file may be: a film or a still
_DISPLAY_DIGITS = 6
_ALL_DIGITS = 17


_DIFFERENCES = ("above", "below")
_ORDERS = {
  "at least": ("≥", operator.ge),
  "at most": ("≤", operator.le),
  "above": (">", operator.gt),
  "below": ("<", operator.lt),
  "equals": ("=", operator.eq),
}


@dataclass(frozen=True)
class Bar:
  """A condition on a number; made by `at_least` and its neighbours, never by hand.

  `slack` is absolute for "within" and a fraction of `target` for "within ratio". Both ends belong
  to the bar. The comparison is done in decimal, on the digits that are printed, so that 0.4 is
  within 0.1 of 0.3 although binary floats say otherwise.
  """

  relation: Relation
  target: float
  slack: float = 0.0

  def __post_init__(self) -> None:
    if not (math.isfinite(self.target) and math.isfinite(self.slack)):
      raise ValueError(f"a bar needs finite numbers, not {self.target} and {self.slack}")
    if self.slack < 0:
      raise ValueError(f"a bar's tolerance must not be negative: {self.slack}")

  def holds(self, value: float) -> bool:
    """Tells whether `value` satisfies the bar; NaN and infinities never do."""
    if not math.isfinite(value):
      return False
    number, target, slack = _decimal(value), _decimal(self.target), _decimal(self.slack)
    match self.relation:
      case "within":
        return abs(number - target) <= slack
      case "within ratio":
        return abs(number - target) <= slack * abs(target)
      case relation:
        return bool(_ORDERS[relation][1](number, target))

  def text(self, unit: str = "") -> str:
    """The bar in words, all digits kept: "≥ 0.989", or "≥ 98.9 %" when the unit is "%"."""
    target, suffix = exact_number(self.target, unit), f" {unit}" if unit else ""
    match self.relation:
      case "within":
        return f"{target} ± {exact_number(self.slack, unit)}{suffix}"
      case "within ratio":
        return f"within {exact_number(self.slack, PERCENT)} % of {target}{suffix}"
      case relation:
        sure = " (95 % interval)" if relation in _DIFFERENCES else ""
        return f"{_ORDERS[relation][0]} {target}{suffix}{sure}"

  def __str__(self) -> str:
    return self.text()

  def verdict(self, values: Sequence[float]) -> Verdict:
    """Judges one number, or the same number measured several times.

    The mean of `values` must satisfy the bar. For "above" and "below" the whole 95 % interval of
    the mean must: where it holds the bar, or there is one value only, the verdict is "undecided".
    """
    mean = mean_of(values)
    if self.relation not in _DIFFERENCES or not math.isfinite(mean):
      return "pass" if self.holds(mean) else "fail"
    half = half_interval(values)
    if mean - half <= self.target <= mean + half:
      return "undecided"
    return "pass" if self.holds(mean) else "fail"


def mean_of(values: Sequence[float]) -> float:
  """The mean; NaN where a value is not finite.

  It is taken in decimal, as bars compare, so that values that lie on a bar do not fall off it.
  """
  if not all(map(math.isfinite, values)):
    return math.nan
  return float(sum(map(_decimal, values), Decimal(0)) / len(values))


def half_interval(values: Sequence[float]) -> float:
  """Half of the 95 % interval of the mean of normal values (Student's t); infinite for one."""
  from scipy.special import stdtrit  # slow to import

  if len(values) < 2:
    return math.inf
  return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def at_least(bound: float) -> Bar:
  """Holds for `value >= bound`."""
  return Bar("at least", float(bound))


def at_most(bound: float) -> Bar:
  """Holds for `value <= bound`."""
  return Bar("at most", float(bound))


def above(bound: float) -> Bar:
  """Holds where the 95 % interval of a difference over paired seeds lies above `bound`."""
  return Bar("above", float(bound))


def below(bound: float) -> Bar:
  """Holds where the 95 % interval of a difference over paired seeds lies below `bound`."""
  return Bar("below", float(bound))


def equals(target: float) -> Bar:
  """Holds for exactly `target`: counts, truth tables and other numbers without rounding."""
  return Bar("equals", float(target))


def within(target: float, tolerance: float) -> Bar:
  """Holds for `|value - target| <= tolerance`."""
  return Bar("within", float(target), float(tolerance))


def within_ratio(target: float, fraction: float) -> Bar:
  """Holds for `|value - target| <= fraction * |target|`."""
  return Bar("within ratio", float(target), float(fraction))


@dataclass(frozen=True)
class Claim:
  """One number of ours beside one number of the source.

  `id` is the inventory's ("C06"); `what` is one short line; `source` is the published number as its
  source gives it ("98.96 % (book)"); `ours` is the measured number, and `bar` speaks of the same
  number. `unit` only changes how both are shown: "%" shows the fraction 0.9893 as "98.93 %", and
  any other unit is set behind the number. A run that measures the number several times itself
  gives all values as `repeats`, of which `ours` is the mean.

  Raises ValueError for an id of another form and for a `what` or `source` of several lines.
  """

  id: str
  what: str
  source: str
  ours: float
  bar: Bar
  unit: str = ""
  repeats: Sequence[float] = ()

  def __post_init__(self) -> None:
    if not re.fullmatch(r"[A-Z]\d{2}", self.id):
      raise ValueError(f"a claim's id is a letter and two digits of the inventory, not {self.id!r}")
    for field in ("what", "source"):
      if "\n" in getattr(self, field):
        raise ValueError(f"{self.id}: `{field}` must be one line: {getattr(self, field)!r}")
    object.__setattr__(self, "ours", float(self.ours))
    object.__setattr__(self, "repeats", tuple(map(float, self.repeats)))

  @property
  def verdict(self) -> Verdict:
    """ "pass" where the bar holds for our number, "undecided" where it may by chance, or "fail"."""
    return self.bar.verdict(self.repeats or (self.ours,))


class MakeClaim(Protocol):
  """Makes claims of one inventory id."""

  def __call__(
    self,
    what: str,
    source: str,
    ours: SupportsFloat,
    bar: Bar,
    unit: str | None = None,
    repeats: Sequence[float] = (),
  ) -> Claim:
    """Makes a `Claim` without naming the id; `unit` is by default the one given to `claims`."""
    ...


def claims(id: str, unit: str = "") -> MakeClaim:
  """Makes the claims of one id, so that each takes a line.

  claim = claims("C06", unit="%")
  claim("test accuracy, 20 epochs", "98.96 % (book)", fit.last("test/accuracy"), at_least(0.987))
  """
  default = unit

  def claim(
    what: str,
    source: str,
    ours: SupportsFloat,
    bar: Bar,
    unit: str | None = None,
    repeats: Sequence[float] = (),
  ) -> Claim:
    return Claim(id, what, source, float(ours), bar, default if unit is None else unit, repeats)

  return claim


@dataclass(frozen=True)
class Picture:
  """A figure with the sentence that says what to see in it; `name` becomes its file name.

  Raises ValueError where `name` is more than small letters, digits, "_" and "-".
  """

  name: str
  figure: "Figure"
  caption: str

  def __post_init__(self) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
      raise ValueError(f"a picture's name is made of a-z, 0-9, '_' and '-', not {self.name!r}")

  @property
  def file_name(self) -> str:
    """`name` with the ending of its file, one of `PICTURES`; a film names its own."""
    return self.name + getattr(self.figure, "suffix", ".png")


@dataclass(frozen=True)
class Report:
  """All that an experiment found. Raises ValueError where two pictures share a name."""

  claims: Sequence[Claim]
  pictures: Sequence[Picture] = ()

  def __post_init__(self) -> None:
    names = [picture.name for picture in self.pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
      raise ValueError(f"two pictures would be written to the same file: {', '.join(twice)}")


def claims_json(claims: Sequence[Claim]) -> list[dict[str, Any]]:
  """Returns the content of `claims.json`: each claim's fields, its bar's, and the verdict.

  Numbers are JSON numbers, or null where they are not finite.
  """
  return [
    {
      "id": claim.id,
      "what": claim.what,
      "source": claim.source,
      "ours": _json_number(claim.ours),
      "repeats": [_json_number(value) for value in claim.repeats],
      "bar": dataclasses.asdict(claim.bar),
      "unit": claim.unit,
      "verdict": claim.verdict,
    }
    for claim in claims
  ]


def claims_from_json(claims: Sequence[Mapping[str, Any]]) -> list[Claim]:
  """The inverse of `claims_json`; a number that was not finite is NaN.

  Reads the files of November 2026 too, in which the bar is a text with the unit. Raises ValueError
  for a bar that is none.
  """
  return [
    Claim(
      claim["id"],
      claim["what"],
      claim["source"],
      _number(claim["ours"]),
      *bar_and_unit(claim),
      repeats=[_number(value) for value in claim.get("repeats", ())],
    )
    for claim in claims
  ]


def _json_number(value: float) -> float | None:
  return value if math.isfinite(value) else None


def _number(stored: float | None) -> float:
  return math.nan if stored is None else float(stored)


def bar_and_unit(claim: Mapping[str, Any]) -> tuple[Bar, str]:
  """The bar and the unit of a stored claim. Raises ValueError where it has none."""
  bar = claim["bar"]
  if isinstance(bar, str):
    return _parse_old_bar(bar)
  if not isinstance(bar, Mapping) or set(bar) != {"relation", "target", "slack"}:
    raise ValueError(f"not a bar: {bar!r}")
  if bar["relation"] not in get_args(Relation):
    raise ValueError(f"not a bar's relation: {bar['relation']!r}")
  return Bar(bar["relation"], float(bar["target"]), float(bar["slack"])), claim["unit"]


def _parse_old_bar(text: str) -> tuple[Bar, str]:
  """Reads a bar that was stored as a text: "≥ 4 s", or "≥ 0.989 (≥ 98.9 %)" in percent."""
  percent = re.fullmatch(r"(.*\S) \((?:.*\S) %\)", text)
  body = percent[1] if percent else text
  for relation, pattern in _OLD_BARS.items():
    if found := re.fullmatch(pattern, body):
      target, slack = found["target"], found.groupdict().get("slack") or "0"
      scale = Decimal(100) if relation == "within ratio" else Decimal(1)
      bar = Bar(relation, float(target), float(Decimal(slack) / scale))
      return bar, PERCENT if percent else (found["unit"] or "")
  raise ValueError(f"not the text of a bar: {text!r}")


_FIGURES = r"[-+.\deE]+"
_UNIT = r"(?: (?P<unit>\S.*))?"
_OLD_BARS: dict[Relation, str] = {
  "at least": rf"≥ (?P<target>{_FIGURES}){_UNIT}",
  "at most": rf"≤ (?P<target>{_FIGURES}){_UNIT}",
  "equals": rf"= (?P<target>{_FIGURES}){_UNIT}",
  "within": rf"(?P<target>{_FIGURES}) ± (?P<slack>{_FIGURES}){_UNIT}",
  "within ratio": rf"within (?P<slack>{_FIGURES}) % of (?P<target>{_FIGURES}){_UNIT}",
}


def shown_number(value: float, bar: Bar, unit: str = "") -> str:
  """`value` for readers, without its unit: few digits, but never so few that they contradict `bar`.

  0.98896 rounds to 98.90 %, which would seem to reach "≥ 98.9 %"; it is shown as 98.896.
  """
  if not math.isfinite(value):
    return str(value)
  if unit == PERCENT:
    candidates = [f"{100 * value:.{digits}f}" for digits in range(2, _ALL_DIGITS)]
  elif value == round(value) and abs(value) < 1e15:
    return f"{value:.0f}"
  else:
    candidates = [f"{value:.{digits}g}" for digits in range(_DISPLAY_DIGITS, _ALL_DIGITS)]
  scale = Decimal(100) if unit == PERCENT else Decimal(1)
  for text in candidates:
    if bar.holds(float(Decimal(text) / scale)) == bar.holds(value):
      return text
  return exact_number(value, unit)


def shown_value(value: float, bar: Bar, unit: str = "") -> str:
  """`value` for readers, with its unit: "98.93 %", "433890", "0.316827"."""
  number = shown_number(value, bar, unit)
  return f"{number} {unit}" if unit and math.isfinite(value) else number


def exact_number(value: float, unit: str = "") -> str:
  """The shortest text that reads back as `value`; a hundred times that where the unit is "%"."""
  number = _decimal(value) * (100 if unit == PERCENT else 1)
  if number == number.to_integral_value() and abs(number) < Decimal("1e15"):
    return f"{number:.0f}"
  return f"{number.normalize():g}"


def claims_table(claims: Sequence[Claim], width: int = 100) -> str:
  """The claims as a plain-text table for the terminal.

  `what` and `source` are wrapped so that no line is longer than `width` characters; where that
  would leave them less than 16 characters each, or break a word, the lines are longer.
  """
  head = ("id", "what", "source", "ours", "bar", "verdict")
  cells = [
    (
      claim.id,
      claim.what,
      claim.source,
      shown_value(claim.ours, claim.bar, claim.unit),
      claim.bar.text(claim.unit),
      claim.verdict,
    )
    for claim in claims
  ]
  widths = [max(len(row[column]) for row in (head, *cells)) for column in range(len(head))]
  room = width - 2 * (len(head) - 1) - sum(widths) + widths[1] + widths[2]
  longest_words = [
    max(len(word) for row in (head, *cells) for word in row[column].split()) for column in (1, 2)
  ]
  widths[2] = min(widths[2], max(16, longest_words[1], room - widths[1], room * 2 // 5))
  widths[1] = min(widths[1], max(16, longest_words[0], room - widths[2]))

  lines = ["  ".join(name.ljust(size) for name, size in zip(head, widths, strict=True)).rstrip()]
  lines.append("  ".join("-" * size for size in widths))
  for row in cells:
    wrapped = [textwrap.wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
    for line in range(max(len(cell) for cell in wrapped)):
      parts = [cell[line] if line < len(cell) else "" for cell in wrapped]
      parts = [
        part.rjust(size) if name == "ours" else part.ljust(size)
        for name, part, size in zip(head, parts, widths, strict=True)
      ]
      lines.append("  ".join(parts).rstrip())
  return "\n".join(lines)


def _decimal(value: float) -> Decimal:
  return Decimal(repr(float(value)))
