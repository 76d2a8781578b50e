"""Claims as JSON: what `claims.json` holds, and how it is read again."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, get_args

from research.report import PERCENT, Bar, Claim, Relation


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
      "bar": asdict(claim.bar),
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
