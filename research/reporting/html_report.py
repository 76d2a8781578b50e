"""`report.html`: what a run found, in one file that a stranger can read.

It contains no clock time, so equal runs give equal pages.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from research.report import Table
from research.reporting.claims_table import shown_bar, shown_value
from research.reporting.page import bullets, figure, line, page, pre, prose, section, table
from research.store.claims_file import bar_and_unit
from research.store.files import write_atomically
from research.store.metrics_log import LABELS, identity_of

Claim = Mapping[str, Any]
ABOUT_CLAIMS = (
  "A claim is one expected result: the number of the source beside ours. The bar is what ours must "
  "satisfy to count as reproduced. The id is that of the system in docs/inventory.md."
)


def write_report(
  path: str | os.PathLike,
  *,
  title: str,
  docstring: str,
  command: str,
  config: Mapping[str, Any],
  environment: Mapping[str, Any],
  claims: Sequence[Claim],
  pictures: Sequence[tuple[str | os.PathLike, str]],
  rows: Sequence[Mapping[str, Any]],
  notes: Sequence[str] = (),
  tables: Sequence[Table] = (),
  commands: Sequence[tuple[str, str]] = (),
) -> None:
  """Writes the page to `path`, whole or not at all.

  `docstring` is the experiment's, `command` the line that runs it again, `config` and
  `environment` may be nested. `claims` are those of `claims.json`, `pictures` pairs of a PNG or
  GIF file and its caption, `rows` the last row of metrics of each fit, `notes` sentences that a
  reader must know, `commands` further lines to paste, by what they do.

  Raises FileNotFoundError for a picture that is not there, and leaves `path` as it was.
  """
  figures = [_figure(Path(file), caption) for file, caption in pictures]
  sections = [
    _introduction(title, docstring, claims),
    *figures[:1],  # the main one, before any table
    section("Found", bullets(notes)),
    section("Next", "".join(f"<p>{escape(what)}</p>{pre(words)}" for what, words in commands)),
    section("Claims", _claims_table(claims)),
    *(section(each.title, table(each.head, [*map(line, each.rows)])) for each in tables),
    section("Further figures", "".join(figures[1:])),
    section("Final metrics", _metrics_table(rows)),
    section("Run it again", _again(command)),
    section("Configuration", _key_value_table(config)),
    section("Environment", _key_value_table(environment)),
  ]
  write_atomically(Path(path), page(title, sections))


def _introduction(title: str, docstring: str, claims: Sequence[Claim]) -> str:
  passed, failed, undecided = (
    sum(claim["verdict"] == verdict for claim in claims)
    for verdict in ("pass", "fail", "undecided")
  )
  kind = "fail" if failed else "undecided" if undecided else "pass"
  said = f"{passed} of {len(claims)} claims hold" + (
    f", {undecided} undecided" if undecided else ""
  )
  summary = f'<p class="summary {kind}">{said}</p>' if claims else ""
  return f"<header><h1>{escape(title)}</h1>{summary}{prose(docstring)}</header>"


def _claims_table(claims: Sequence[Claim]) -> str:
  if not claims:
    return ""
  lines = []
  for claim in claims:
    ours = math.nan if claim["ours"] is None else float(claim["ours"])
    bar, unit = bar_and_unit(claim)
    numbers = (shown_value(ours, bar, unit), shown_bar(bar, unit))
    verdict = escape(claim["verdict"])
    lines.append(
      f'<tr><td><span class="verdict {verdict}">{verdict}</span></td>'
      + f"<td>{escape(claim['id'])}</td>"
      + "".join(f'<td class="words">{escape(claim[key])}</td>' for key in ("what", "source"))
      + "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
      + "</tr>"
    )
  head = ("verdict", "id", "claim", "source", "ours", "bar")
  return table(head, lines) + f'<p class="same">{escape(ABOUT_CLAIMS)}</p>'


def _figure(picture: Path, caption: str) -> str:
  return figure(picture.read_bytes(), picture.suffix.removeprefix("."), caption)


def _metrics_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """One line a metric and one column a fit, so that many metrics do not run off the page."""
  if not rows:
    return ""
  metrics = list(dict.fromkeys(key for row in rows for key in row if key not in LABELS))
  head = ["metric", *map(identity_of, rows)]
  lines = [
    f"<tr><td>{escape(key)}</td>"
    + "".join(f'<td class="number">{escape(_metric(row.get(key, "")))}</td>' for row in rows)
    + "</tr>"
    for key in metrics
  ]
  return table(head, lines)


def _again(command: str) -> str:
  return (
    f"{pre(command)}<p>The same command resumes this run where it stopped, and returns at once "
    "when it is finished. Add <code>--fresh</code> to start over; the old run is kept aside.</p>"
  )


def _key_value_table(tree: Mapping[str, Any]) -> str:
  lines = [
    f"<tr><td>{escape(name)}</td><td><code>{escape(_value(value))}</code></td></tr>"
    for name, value in _leaves(tree)
  ]
  return table(("name", "value"), lines) if lines else ""


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
  """Nested names joined by dots, as the flags are written: ("optimizer.learning_rate", 0.001)."""
  found = []
  for key, value in tree.items():
    name = f"{prefix}{key}"
    if isinstance(value, Mapping) and value:
      found += _leaves(value, f"{name}.")
    else:
      found.append((name, value))
  return found


def _value(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _metric(value: Any) -> str:
  return f"{value:.6g}" if isinstance(value, float) else _value(value)
