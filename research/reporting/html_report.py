"""`report.html`: what a run found, in one file that a stranger can read.

It says when, where and from which commit the run came, in which equal runs differ.
"""

import datetime
import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from research.report import Table
from research.reporting import origins
from research.reporting.claims_table import shown_bar, shown_value
from research.reporting.page import bullets, command, figure_of, line, page, prose, section, table
from research.store.claims_file import bar_and_unit
from research.store.files import write_atomically
from research.store.metrics_log import LABELS, identity_of
from research.store.progress import duration

Claim = Mapping[str, Any]
ABOUT_CLAIMS = (
  "A claim is one expected result: the number of the source beside ours. The bar is what ours must "
  "satisfy to count as reproduced. The id is that of the system in the inventory"
)
CELLS = ("claim", "source", "ours", "bar")


def write_report(
  path: str | os.PathLike,
  *,
  title: str,
  docstring: str,
  again: str,
  config: Mapping[str, Any],
  environment: Mapping[str, Any],
  claims: Sequence[Claim],
  pictures: Sequence[tuple[str | os.PathLike, str]],
  rows: Sequence[Mapping[str, Any]],
  notes: Sequence[str] = (),
  tables: Sequence[Table] = (),
  commands: Sequence[tuple[str, str]] = (),
  tries: Sequence[tuple[str, str]] = (),
  file: Path | None = None,
  began: float = 0.0,
  seconds: float = 0.0,
) -> None:
  """Writes the page to `path`, whole or not at all.

  Args:
    path: of the page.
    title: above it.
    docstring: the experiment's; its first paragraphs begin the page.
    again: the line that runs it again.
    config: the settings, which may be nested.
    environment: the machine and the code, as `process.describe` has them.
    claims: those of `claims.json`.
    pictures: pairs of a PNG or GIF file and its caption; an SVG of the same name beside a PNG is
      shown in its place, and one that ends in `.narrow.svg` on narrow screens.
    rows: the last row of metrics of each fit.
    notes: sentences that a reader must know.
    tables: further tables.
    commands: further lines to paste, by what they do.
    tries: the same for what is to be tried next.
    file: of the experiment.
    began: when, in seconds since 1970; 0 where nothing says so.
    seconds: of training; 0 where nothing was trained.

  Raises FileNotFoundError for a picture that is not there, and leaves `path` as it was.
  """
  path = Path(path)
  figures = [figure_of(Path(picture), caption) for picture, caption in pictures]
  idea, rest = _split(docstring)
  about = _made(environment, began, seconds)
  about += origins.about(file, [claim["id"] for claim in claims], path.parent)
  sections = [
    _introduction(title, idea, claims) + f'<div class="about">{about}</div>' * bool(about),
    *figures[:1],  # the main one, before any table
    section("Found", bullets(notes)),
    section("Next", _commands(commands)),
    section("Claims", _claims_table(claims, path.parent)),
    *(section(each.title, table(each.head, [*map(line, each.rows)])) for each in tables),
    section("Further figures", "".join(figures[1:])),
    section("Final metrics", _metrics_table(rows)),
    section("From the experiment's file", prose(rest)),
    section("Run it again", _again(again)),
    _folded("Configuration", _key_value_table(config)),
    _folded("Environment", _key_value_table(environment)),
    section("Three things to try", _commands(tries)),
  ]
  write_atomically(path, page(title, sections))


def _split(docstring: str) -> tuple[str, str]:
  """The first paragraphs of a docstring, and what stands from its first command on."""
  blocks = docstring.strip("\n").split("\n\n")
  is_command = lambda block: block.lstrip().startswith(("python ", "lineage "))
  end = next((number for number, block in enumerate(blocks) if is_command(block)), len(blocks))
  return "\n\n".join(blocks[:end]), "\n\n".join(blocks[end:])


def _made(environment: Mapping[str, Any], began: float, seconds: float) -> str:
  """A line on when, how long, on which machine and from which commit a run was made."""
  parts = []
  if began:
    parts.append(datetime.datetime.fromtimestamp(began).astimezone().strftime("%Y-%m-%d %H:%M %Z"))
  if seconds:
    parts.append(f"trained for {duration(seconds)}")
  devices = environment.get("devices") or []
  cores = environment.get("cores")
  machine = [environment.get("system"), f"{cores} cores" if cores else None]
  machine += [f"{devices.count(kind)} × {kind}" for kind in dict.fromkeys(devices)]
  parts.append(", ".join(str(each) for each in machine if each))
  if commit := environment.get("commit"):
    first, *changes = str(commit).split(" ", 1)
    parts.append(" ".join(["commit", first[:10], *changes]))
  said = " · ".join(filter(None, parts))
  return f"<p>{escape(said)}</p>" if said else ""


def _commands(commands: Sequence[tuple[str, str]]) -> str:
  return "".join(f"<p>{escape(what)}</p>{command(words)}" for what, words in commands)


def _folded(name: str, content: str) -> str:
  """A section that opens at a click."""
  return f"<details><summary>{escape(name)}</summary>{content}</details>" if content else ""


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


def _claims_table(claims: Sequence[Claim], folder: Path) -> str:
  if not claims:
    return ""
  lines = []
  for claim in claims:
    ours = math.nan if claim["ours"] is None else float(claim["ours"])
    bar, unit = bar_and_unit(claim)
    words = (claim["what"], claim["source"], shown_value(ours, bar, unit), shown_bar(bar, unit))
    verdict = escape(claim["verdict"])
    lines.append(
      f'<tr><td class="mark"><span class="verdict {verdict}">{verdict}</span></td>'
      + f'<td class="id">{escape(claim["id"])}</td>'
      + "".join(_cell(name, text) for name, text in zip(CELLS, words, strict=True))
      + "</tr>"
    )
  place = origins.inventory_link(folder)
  about = f'<p class="same">{escape(ABOUT_CLAIMS)}{place}.</p>'
  return table(("verdict", "id", *CELLS), lines, "claims") + about


def _cell(name: str, text: str) -> str:
  """A cell that bears its column's name where a narrow page has no columns."""
  kind = "words" if name in ("claim", "source") else "number"
  label = f'<span class="name">{name}</span>' if text else ""
  return f'<td class="{kind}">{label}{escape(text)}</td>'


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


def _again(words: str) -> str:
  return (
    f"{command(words)}<p>The same command resumes this run where it stopped, and returns at once "
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
