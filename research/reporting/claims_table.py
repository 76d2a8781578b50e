"""Claims as text for readers."""

import math
import textwrap
from collections.abc import Sequence
from decimal import Decimal

from research.report import HUNDREDTHS, Bar, Claim, exact_number

_DISPLAY_DIGITS = 6
_ALL_DIGITS = 17
COLOURS = {"pass": 32, "fail": 31, "undecided": 33}  # green, red and yellow of a terminal


def shown_number(value: float, bar: Bar, unit: str = "") -> str:
  """`value` for readers, without its unit: few digits, but never so few that they contradict `bar`.

  0.98896 rounds to 98.90 %, which would seem to reach "≥ 98.9 %"; it is shown as 98.896.
  """
  if not math.isfinite(value):
    return str(value)
  if unit in HUNDREDTHS:
    candidates = [f"{100 * value:.{digits}f}" for digits in range(2, _ALL_DIGITS)]
  elif value == round(value) and abs(value) < 1e15:
    return f"{value:.0f}"
  else:
    candidates = [f"{value:.{digits}g}" for digits in range(_DISPLAY_DIGITS, _ALL_DIGITS)]
  scale = Decimal(100) if unit in HUNDREDTHS else Decimal(1)
  for text in candidates:
    if bar.holds(float(Decimal(text) / scale)) == bar.holds(value):
      return text
  return exact_number(value, unit)


def shown_value(value: float, bar: Bar, unit: str = "") -> str:
  """`value` for readers, with its unit: "98.93 %", "433890", "0.316827"."""
  number = shown_number(value, bar, unit)
  return f"{number} {unit}" if unit and math.isfinite(value) else number


def shown_bar(bar: Bar, unit: str = "") -> str:
  """A bar for readers: its numbers with the digits that matter."""
  return bar.text(unit, _DISPLAY_DIGITS)


def claims_table(claims: Sequence[Claim], width: int = 100, *, colours: bool = False) -> str:
  """The claims as a plain-text table for the terminal; with `colours` the verdicts have theirs.

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
      shown_bar(claim.bar, claim.unit),
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
      if colours and line == 0:
        parts[-1] = f"\033[{COLOURS[row[-1]]}m{parts[-1].rstrip()}\033[0m"
      lines.append("  ".join(parts).rstrip())
  return "\n".join(lines)
