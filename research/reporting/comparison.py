"""Several runs side by side on one page: settings that differ, curves over each other, claims."""

import datetime
import math
import string
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from research.config import show
from research.errors import UserError
from research.figures.curves import compare_curves
from research.lab.run_index import Metric, Record, by_importance
from research.report import Picture
from research.reporting.claims_table import shown_bar, shown_value
from research.reporting.page import line, page, section, table
from research.reporting.picture_files import picture_in
from research.reporting.runs_table import shown
from research.store.claims_file import bar_and_unit
from research.store.files import read_json
from research.store.metrics_log import Row, read_rows
from research.store.progress import duration

MOST = len(string.ascii_uppercase)  # each run is a letter
MOST_CURVES = 14  # in a panel, twice as many as there are colours
NONE = "–"


def write_comparison(path: Path, records: Sequence[Record]) -> None:
  """Writes the page to `path`, whole or not at all, from the runs' files alone.

  Raises:
    UserError: for fewer than two runs, or more than there are letters.
  """
  if not 2 <= len(records) <= MOST:
    raise UserError(f"compare takes 2 to {MOST} runs, not {len(records)}")
  letters = string.ascii_uppercase[: len(records)]
  panels = "".join(picture_in(picture) for picture in curves(letters, records))
  experiments = ", ".join(dict.fromkeys(record.experiment for record in records))
  text = page(
    f"{len(records)} runs compared",
    [
      f"<header><h1>{escape(experiments)}: {len(records)} runs compared</h1></header>",
      section("Runs", _runs(letters, records)),
      section("Settings that differ", _differences(letters, records)),
      section("Curves", f'<div class="panels">{panels}</div>' if panels else ""),
      section("Metrics: the last value", _metrics(letters, records)),
      section("Claims", _claims(letters, records)),
    ],
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text, encoding="utf-8")


def _runs(letters: str, records: Sequence[Record]) -> str:
  head = ["", "folder", "experiment", "seed", "state", "began", "trained"]
  lines = []
  for letter, record in zip(letters, records, strict=True):
    began = datetime.datetime.fromtimestamp(record.began).strftime("%Y-%m-%d %H:%M")
    seed = str(record.identity.seed) if record.identity else NONE
    cells = [letter, str(record.folder), record.experiment, seed, record.state, began]
    lines.append(line([*cells, duration(record.seconds)]))
  return table(head, lines)


def differences(records: Sequence[Record]) -> dict[str, list[Any]]:
  """The settings in which the runs differ, each with its value in every run, or None."""
  configs = [
    {"seed": record.identity.seed, **record.identity.config} if record.identity else {}
    for record in records
  ]
  names = dict.fromkeys(name for config in configs for name in config)
  values = {name: [config.get(name) for config in configs] for name in names}
  return {name: held for name, held in values.items() if any(each != held[0] for each in held)}


def _differences(letters: str, records: Sequence[Record]) -> str:
  found = differences(records)
  names = {
    name for record in records if record.identity for name in ("seed", *record.identity.config)
  }
  note = f'<p class="same">{len(names) - len(found)} other settings are equal in all.</p>'
  if not found:
    return '<p class="same">All settings are equal.</p>'
  lines = [line([name, *map(_shown, values)]) for name, values in found.items()]
  return table(["setting", *letters], lines) + note


def _shown(value: Any) -> str:
  return NONE if value is None else show(value)


def curves(letters: str, records: Sequence[Record]) -> list[Picture]:
  """A panel for each metric that two runs or more have, each run's curves over the others'.

  The repetitions of a population's member are one curve, their mean, with a band.
  """
  rows = [read_rows(record.folder) for record in records]
  names = _names(letters, records)
  made = list[Picture]()
  for metric in by_importance(_shared(records)):
    of_metric: dict[str, list[list[Row]]] = {}
    for name, own in zip(names, rows, strict=True):
      for owner, histories in _owners(own, metric).items():
        of_metric[name if not owner else f"{name}: {owner}"] = histories
    shown = dict(list(of_metric.items())[:MOST_CURVES])
    left = len(of_metric) - len(shown)
    caption = f"{metric} over steps" + (f"; {left} more curves are not drawn." if left else ".")
    file = f"curve-{len(made)}"
    made.append(
      compare_curves(
        shown, metric, title=metric, caption=caption, file=file, panel_inches=(4.6, 3.2)
      )
    )
  return made


def _names(letters: str, records: Sequence[Record]) -> list[str]:
  """The letters, with the settings that differ where these are few and short."""
  found = differences(records)
  texts = [
    ", ".join(f"{name}={_shown(values[number])}" for name, values in found.items())
    for number in range(len(records))
  ]
  if not found or max(map(len, texts)) > 48:
    return list(letters)
  return [f"{letter} ({text})" for letter, text in zip(letters, texts, strict=True)]


def _shared(records: Sequence[Record]) -> list[str]:
  names = dict.fromkeys(name for record in records for name in record.metrics)
  return [name for name in names if sum(name in record.metrics for record in records) > 1]


def _owners(rows: Sequence[Row], metric: str) -> dict[str, list[list[Row]]]:
  """The histories that hold a metric, by fit and member; "" for the only one of a run.

  Of several repetitions those are left out that have no step in common with the first.
  """
  found: dict[str, dict[Any, list[Row]]] = {}
  for row in rows:
    if type(row.get(metric)) in (int, float) and type(row.get("step")) in (int, float):
      owner = "/".join(str(row[label]) for label in ("fit", "member") if label in row)
      found.setdefault(owner, {}).setdefault(row.get("repeat"), []).append(row)
  steps = lambda history: {row["step"] for row in history}
  kept = {
    owner: [each for each in repeats.values() if steps(each) >= steps(next(iter(repeats.values())))]
    for owner, repeats in found.items()
  }
  return {"": next(iter(kept.values()))} if len(kept) == 1 else kept


def _metrics(letters: str, records: Sequence[Record]) -> str:
  names = by_importance(dict.fromkeys(name for record in records for name in record.metrics))
  lines = [
    line([name, *(_metric(name, record.metrics.get(name)) for record in records)]) for name in names
  ]
  return table(["metric", *letters], lines) if lines else ""


def _metric(name: str, held: Metric | None) -> str:
  if held is None:
    return NONE
  is_known = held.best is not None and held.best != held.last
  return shown(name, held.last) + (f" (best {shown(name, held.best)})" if is_known else "")


def _claims(letters: str, records: Sequence[Record]) -> str:
  held = [_claims_of(record) for record in records]
  keys = dict.fromkeys(key for claims in held for key in claims)
  lines = []
  for key in keys:
    first = next(claims[key] for claims in held if key in claims)
    bar, unit = bar_and_unit(first)
    cells = [first["id"], first["what"], first["source"], shown_bar(bar, unit)]
    lines.append(
      "<tr>"
      + "".join(f'<td class="words">{escape(cell)}</td>' for cell in cells)
      + "".join(_verdict(claims.get(key)) for claims in held)
      + "</tr>"
    )
  return table(["id", "claim", "source", "bar", *letters], lines) if lines else ""


def _claims_of(record: Record) -> Mapping[tuple[str, str], dict[str, Any]]:
  """The claims of a run by id and words; those that are damaged are left out."""
  found = {}
  claims = read_json(record.folder / "claims.json")
  for claim in claims if isinstance(claims, list) else []:
    try:
      bar_and_unit(claim)
      if all(isinstance(claim[name], str) for name in ("id", "what", "source", "verdict")):
        found[claim["id"], claim["what"]] = claim | {"ours": _number(claim["ours"])}
    except (KeyError, TypeError, ValueError):
      continue
  return found


def _number(value: Any) -> float:
  return math.nan if value is None else float(value)


def _verdict(claim: Mapping[str, Any] | None) -> str:
  if claim is None:
    return f"<td>{NONE}</td>"
  verdict, ours = escape(claim["verdict"]), shown_value(claim["ours"], *bar_and_unit(claim))
  return f'<td class="number">{escape(ours)} <span class="{verdict}">{verdict}</span></td>'
