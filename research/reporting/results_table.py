"""`RESULTS.md`: one row per verified claim, over seeds, renewed experiment by experiment."""

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.report import CLAIM_ID, HUNDREDTHS, Bar, Claim, Verdict, half_interval, mean_of
from research.reporting.claims_table import shown_number
from research.store.claims_file import claims_from_json
from research.store.files import write_atomically

# The order in which the inventory lists its families.
FAMILIES = "PLBOIRCADSNVUQY"

_HEAD = ("id", "what", "source", "ours", "bar", "verdict", "experiment")
_RUN_HEAD = ("experiment", "command", "seeds", "date")


@dataclasses.dataclass(frozen=True)
class Verified:
  """A claim measured once per seed, or several times in a single run that repeats it itself.

  `command` runs `experiment` again; `date` is ISO's. Raises ValueError without a value.
  """

  id: str
  what: str
  source: str
  values: tuple[float, ...]
  bar: Bar
  unit: str
  experiment: str
  command: str
  date: str
  seeds: int

  def __post_init__(self) -> None:
    if not self.values:
      raise ValueError(f"{self.id}: verified, but with no seed at all")

  @property
  def verdict(self) -> Verdict:
    """The bar's judgement of all values."""
    return self.bar.verdict(self.values)


def over_seeds(
  claims_of_seeds: Sequence[Sequence[Mapping[str, Any]]],
  *,
  experiment: str,
  command: str,
  date: str,
) -> list[Verified]:
  """Joins the `claims.json` of several seeds of one experiment, claim by claim.

  A bar may be a baseline that every run measures for itself: it too is then the mean over seeds.

  Raises ValueError where the seeds do not make the same claims.
  """
  runs = [claims_from_json(claims) for claims in claims_of_seeds]
  first, *others = [list(map(_statement, claims)) for claims in runs]
  for statements in others:
    if statements != first:
      changed = sorted(set(first) ^ set(statements)) or first
      raise ValueError(
        f"{experiment}: its seeds do not make the same claims in the same order, so they have no "
        f"mean; look at {changed[0]}"
      )
  return [
    Verified(
      claims[0].id,
      claims[0].what,
      claims[0].source,
      values=_values(claims),
      bar=_mean_bar([claim.bar for claim in claims]),
      unit=claims[0].unit,
      experiment=experiment,
      command=command,
      date=date,
      seeds=len(runs),
    )
    for claims in zip(*runs, strict=True)
  ]


def merge(path: str | os.PathLike, rows: Sequence[Verified]) -> None:
  """Puts `rows` into the file at `path`, in place of all earlier rows of the same experiments.

  Rows of other experiments stay as they are. The file is written whole or not at all, but two
  writers at the same time would lose the rows of one. Raises UserError, and changes nothing, where
  the file holds a row that is not one of this module's.
  """
  path = Path(path)
  claim_rows, run_rows = _read(path)
  renewed = {_code(row.experiment) for row in rows}
  claim_rows = [row for row in claim_rows if row[-1] not in renewed] + [_cells(row) for row in rows]
  run_rows = [row for row in run_rows if row[0] not in renewed]
  run_rows += dict.fromkeys(_run_cells(row) for row in rows)

  claim_rows.sort(key=lambda row: (_inventory_position(_plain(row[0])), row[-1]))
  text = _PREAMBLE + _table(_HEAD, claim_rows) + _RUNS + _table(_RUN_HEAD, sorted(run_rows))
  write_atomically(path, text)


def read(path: str | os.PathLike) -> list[dict[str, str]]:
  """The rows of claims in the file, cell texts by column name, without Markdown's escapes.

  A missing file has none. Raises UserError where a row is not one of this module's.
  """
  claim_rows, _ = _read(Path(path))
  return [dict(zip(_HEAD, map(_plain, row), strict=True)) for row in claim_rows]


def _statement(claim: Claim) -> tuple[str, str, str, str]:
  kind = dataclasses.replace(claim.bar, target=0.0).text(claim.unit)
  return claim.id, claim.what, claim.source, kind


def _values(claims: Sequence[Claim]) -> tuple[float, ...]:
  """One value a run; of a single run its own repeats, since those of other seeds may overlap."""
  if len(claims) == 1 and claims[0].repeats:
    return tuple(claims[0].repeats)
  return tuple(claim.ours for claim in claims)


def _mean_bar(bars: Sequence[Bar]) -> Bar:
  """The bar with the mean of the targets, to as many decimals as the one with most has."""
  targets = [Decimal(repr(bar.target)) for bar in bars]
  finest = min(targets, key=lambda target: target.as_tuple().exponent)
  mean = (sum(targets, Decimal(0)) / len(targets)).quantize(finest)
  return dataclasses.replace(bars[0], target=float(mean))


Cells = tuple[str, ...]


def _cells(row: Verified) -> Cells:
  words = (row.what, row.source, _mean_and_interval(row), row.bar.text(row.unit))
  return (_escape(row.id), *map(_escape, words), row.verdict, _code(row.experiment))


def _run_cells(row: Verified) -> Cells:
  return _code(row.experiment), _code(row.command), str(row.seeds), row.date


def _mean_and_interval(row: Verified) -> str:
  """ "98.93 ± 0.10 % (n = 3)"; a single value has no interval."""
  mean, unit = mean_of(row.values), row.unit
  shown = shown_number(mean, row.bar, unit)
  if not math.isfinite(mean):
    unit = ""
  elif len(row.values) > 1:
    half = half_interval(row.values)
    shown += " ± " + (f"{100 * half:.2f}" if unit in HUNDREDTHS else f"{half:.2g}")
  return f"{shown} {unit}".rstrip() + f" (n = {len(row.values)})"


def _inventory_position(claim_id: str) -> tuple[int, str]:
  family = FAMILIES.find(claim_id[:1])
  return (family if family >= 0 else len(FAMILIES)), claim_id


def _table(head: Cells, rows: Sequence[Cells]) -> str:
  lines = [head, tuple("---" for _ in head), *rows]
  return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _read(path: Path) -> tuple[list[Cells], list[Cells]]:
  """The rows of both tables in the file, cells still escaped."""
  claim_rows: list[Cells] = []
  run_rows: list[Cells] = []
  lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
  for number, line in enumerate(lines, start=1):
    if not line.startswith(("|", "<<<<<<<", "=======", ">>>>>>>")):
      continue
    cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
    if cells in (_HEAD, _RUN_HEAD) or (cells and set(cells) == {"---"}):
      continue
    if len(cells) == len(_HEAD) and re.fullmatch(CLAIM_ID, _plain(cells[0])):
      claim_rows.append(cells)
    elif len(cells) == len(_RUN_HEAD) and cells[0].startswith("`"):
      run_rows.append(cells)
    else:
      raise UserError(
        f"{path}, line {number}: not a row that --verify wrote: {line[:60]!r}; "
        "mend or delete the line, then verify again"
      )
  return claim_rows, run_rows


def _escape(text: str) -> str:
  r"""Text on one line, with a backslash before whatever Markdown would act on."""
  return re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
  """Text as a code span, in which only a bar, the end of a table's cell, needs a backslash."""
  body = " ".join(text.split()).replace("|", r"\|")
  fence = "`" * (max((len(run) for run in re.findall("`+", body)), default=0) + 1)
  return f"{fence}{body}{fence}" if fence == "`" else f"{fence} {body} {fence}"


def _plain(cell: str) -> str:
  if cell.startswith("`"):
    return cell.strip("`").strip().replace(r"\|", "|")
  return re.sub(r"\\(.)", r"\1", cell)


_PREAMBLE = """# Results

Every number here was measured by `launch.py --verify`, which also wrote this file. Each experiment
was run once per seed with its documented command; *ours* is the mean over the n seeds (over the
repeats that a single run makes itself), with the half of its 95 % interval (Student's t).
The *verdict* is the bar applied to that mean. A bar that speaks of a 95 % interval judges a
difference over paired seeds: it passes or fails where the whole interval does, and is *undecided*
else. *Source* is the number as published. A bar that is a baseline of the same runs is its mean
over seeds. To renew the rows of one experiment, run its command below.
The figures, by family: [docs/gallery](docs/gallery).

"""

_RUNS = """
## How to measure them again

"""
