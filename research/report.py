"""Reports: claims, each measured against a published number, and pictures.

An experiment ends with a `Report`. Each `Claim` sets our number beside the source's and says, with
a `Bar`, what it takes to have reproduced it:

  Claim("C06", "test accuracy after 20 epochs", "98.96 % (book)", accuracy, at_least(0.987), "%")

Nothing here draws, writes or imports anything heavy.
"""

import base64
import html
import io
import math
import operator
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, SupportsFloat

if TYPE_CHECKING:
  from matplotlib.figure import Figure

Relation = Literal["at least", "at most", "above", "below", "equals", "within", "within ratio"]
Verdict = Literal["pass", "fail", "undecided"]

PERCENT = "%"
HUNDREDTHS = (PERCENT, "points")  # units of shares and of their differences
CLAIM_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
PICTURES = (".gif", ".png")  # what a picture's file may be: a film or a still


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

  def text(self, unit: str = "", digits: int = 0) -> str:
    """The bar in words: "≥ 0.989", or "≥ 98.9 %" when the unit is "%".

    All digits are kept, or at most so many that matter.
    """
    number = lambda value: exact_number(_rounded(value, digits), unit)
    target, suffix = number(self.target), f" {unit}" if unit else ""
    match self.relation:
      case "within":
        return f"{target} ± {number(self.slack)}{suffix}"
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

  `id` is the inventory's ("C06"), or any short name; `what` is one short line; `source` is the
  published number as its source gives it ("98.96 % (book)"); `ours` is the measured number, and
  `bar` speaks of the same number. `unit` only changes how both are shown: "%" shows the fraction
  0.9893 as "98.93 %", "points" a difference of fractions, 0.021, as "2.10 points", and any other
  unit is set behind the number. A run that measures the number several times itself gives all
  values as `repeats`, of which `ours` is the mean.

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
    if not re.fullmatch(CLAIM_ID, self.id):
      raise ValueError(
        f"a claim's id is made of letters, digits, '.', '_' and '-' (at most 40), not {self.id!r}"
      )
    for field in ("what", "source"):
      if "\n" in getattr(self, field):
        raise ValueError(f"{self.id}: `{field}` must be one line: {getattr(self, field)!r}")
    object.__setattr__(self, "ours", float(self.ours))
    object.__setattr__(self, "repeats", tuple(map(float, self.repeats)))

  @property
  def verdict(self) -> Verdict:
    """ "pass" where the bar holds for our number, "undecided" where it may by chance, or "fail"."""
    return self.bar.verdict(self.repeats or (self.ours,))


@dataclass(frozen=True)
class ClaimMaker:
  """Makes the claims of one id; `unit` is theirs where a claim names none."""

  id: str
  unit: str = ""

  def __call__(
    self,
    what: str,
    source: str,
    ours: SupportsFloat,
    bar: Bar,
    unit: str | None = None,
    repeats: Sequence[float] = (),
  ) -> Claim:
    """Makes a `Claim` without naming the id again."""
    unit = self.unit if unit is None else unit
    return Claim(self.id, what, source, float(ours), bar, unit, repeats)


def claims(id: str, unit: str = "") -> ClaimMaker:
  """Makes the claims of one id, so that each takes a line.

  claim = claims("C06", unit="%")
  claim("test accuracy, 20 epochs", "98.96 % (book)", fit.last("test/accuracy"), at_least(0.987))
  """
  return ClaimMaker(id, unit)


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

  def _repr_html_(self) -> str:
    """The figure over its caption, as a notebook shows a picture."""
    kind, image = self.file_name.rpartition(".")[2], io.BytesIO()
    self.figure.savefig(image, format=kind)
    data, caption = base64.b64encode(image.getvalue()).decode(), html.escape(self.caption)
    source = f'src="data:image/{kind};base64,{data}"'
    return f'<img {source} alt="{self.name}" style="max-width: 100%"><p>{caption}</p>'


@dataclass(frozen=True)
class Table:
  """A table of the report, under a title; cells are text."""

  title: str
  head: Sequence[str]
  rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Report:
  """All that an experiment found. Raises ValueError where two pictures share a name.

  `notes` are sentences that a reader must know, `commands` lines to paste by what they do.
  """

  claims: Sequence[Claim] = ()
  pictures: Sequence[Picture] = ()
  notes: Sequence[str] = ()
  tables: Sequence[Table] = ()
  commands: Sequence[tuple[str, str]] = ()

  def __post_init__(self) -> None:
    names = [picture.name for picture in self.pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
      raise ValueError(f"two pictures would be written to the same file: {', '.join(twice)}")


def exact_number(value: float, unit: str = "") -> str:
  """The shortest text that reads back as `value`; a hundred times that in one of `HUNDREDTHS`."""
  number = _decimal(value) * (100 if unit in HUNDREDTHS else 1)
  if number == number.to_integral_value() and abs(number) < Decimal("1e15"):
    return f"{number:.0f}"
  return f"{number.normalize():g}"


def _rounded(value: float, digits: int) -> float:
  return float(f"{value:.{digits}g}") if digits else value


def _decimal(value: float) -> Decimal:
  return Decimal(repr(float(value)))
