"""`report.html`: what a run found, in one file that a stranger can read.

The page holds its pictures inside, has no script, fetches nothing (its content policy forbids it),
and follows the reader's light or dark setting. It contains no clock time, so equal runs give
equal pages.
"""

import base64
import json
import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from research.reporting.claims_table import shown_value
from research.store.claims_file import bar_and_unit
from research.store.files import write_atomically
from research.store.metrics_log import LABELS, identity_of

Claim = Mapping[str, Any]


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
) -> None:
  """Writes the page to `path`, whole or not at all.

  `docstring` is the experiment's, `command` the line that runs it again, `config` and
  `environment` may be nested. `claims` are those of `claims.json`, `pictures` pairs of a PNG or
  GIF file and its caption, `rows` the last row of metrics of each fit, `notes` sentences that a
  reader must know. No text is trusted to be HTML.

  Raises FileNotFoundError for a picture that is not there, and leaves `path` as it was.
  """
  sections = [
    _introduction(title, docstring, claims),
    _section("Claims", _claims_table(claims)),
    _section("Notes", _list(notes)),
    _section("Figures", "".join(_figure(Path(file), caption) for file, caption in pictures)),
    _section("Final metrics", _metrics_table(rows)),
    _section("Run it again", _again(command)),
    _section("Configuration", _key_value_table(config)),
    _section("Environment", _key_value_table(environment)),
  ]
  page = _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(filter(None, sections)))
  write_atomically(Path(path), page)


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
  return f"<header><h1>{escape(title)}</h1>{summary}{_prose(docstring)}</header>"


def _prose(text: str) -> str:
  """Paragraphs of a docstring; indented ones (commands, tables) keep their lines."""
  parts = []
  for block in text.strip().split("\n\n"):
    if not block.strip():
      continue
    verbatim = any(line.startswith("  ") for line in block.splitlines())
    parts.append(_pre(textwrap.dedent(block)) if verbatim else f"<p>{escape(block)}</p>")
  return "\n".join(parts)


def _claims_table(claims: Sequence[Claim]) -> str:
  if not claims:
    return ""
  lines = []
  for claim in claims:
    ours = math.nan if claim["ours"] is None else float(claim["ours"])
    bar, unit = bar_and_unit(claim)
    numbers = (shown_value(ours, bar, unit), bar.text(unit))
    verdict = escape(claim["verdict"])
    lines.append(
      f'<tr><td><span class="verdict {verdict}">{verdict}</span></td>'
      + f"<td>{escape(claim['id'])}</td>"
      + "".join(f'<td class="words">{escape(claim[key])}</td>' for key in ("what", "source"))
      + "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
      + "</tr>"
    )
  head = ("verdict", "id", "claim", "source", "ours", "bar")
  return _table(head, lines)


def _figure(picture: Path, caption: str) -> str:
  data = base64.b64encode(picture.read_bytes()).decode("ascii")
  kind = picture.suffix.removeprefix(".")
  return (
    f'<figure><img alt="{escape(caption)}" src="data:image/{kind};base64,{data}">'
    f"<figcaption>{escape(caption)}</figcaption></figure>"
  )


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
  return _table(head, lines)


def _again(command: str) -> str:
  return (
    f"{_pre(command)}<p>The same command resumes this run where it stopped, and returns at once "
    "when it is finished. Add <code>--fresh</code> to start over; the old run is kept aside.</p>"
  )


def _key_value_table(tree: Mapping[str, Any]) -> str:
  lines = [
    f"<tr><td>{escape(name)}</td><td><code>{escape(_value(value))}</code></td></tr>"
    for name, value in _leaves(tree)
  ]
  return _table(("name", "value"), lines) if lines else ""


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


def _section(name: str, content: str) -> str:
  return f"<section><h2>{escape(name)}</h2>{content}</section>" if content else ""


def _table(head: Sequence[str], lines: Sequence[str]) -> str:
  names = "".join(f"<th>{escape(name)}</th>" for name in head)
  body = "\n".join(lines)
  table = f"<table><thead><tr>{names}</tr></thead><tbody>\n{body}\n</tbody></table>"
  return f'<div class="wide">{table}</div>'


def _list(items: Sequence[str]) -> str:
  return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def _pre(text: str) -> str:
  return f"<pre>{escape(text)}</pre>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { --ink: #1c1c1c; --paper: #fff; --faint: #f2f3f5; --line: #d5d8dc; --quiet: #5a6068;
  --pass: #00684a; --fail: #a8330b; --undecided: #6b5600; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #17191c; --faint: #22262b; --line: #3a4048; --quiet: #a3abb5;
    --pass: #4cc79e; --fail: #ff9466; --undecided: #d9bd55; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
header p { max-width: 46rem; }
.summary { font-weight: 600; }
.pass { color: var(--pass); } .fail { color: var(--fail); }
.undecided { color: var(--undecided); }
.verdict { border: 1px solid; border-radius: .3rem; padding: .05rem .45rem; font-weight: 600;
  font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); white-space: nowrap; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.words { min-width: 9rem; }
td code { overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .88em; }
pre { background: var(--faint); border-radius: .3rem; padding: .75rem 1rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
figure { margin: 1.25rem 0 2rem; }
img { display: block; max-width: 100%; background: #fff; border-radius: .3rem; padding: .4rem; }
figcaption { color: var(--quiet); font-size: .93rem; margin-top: .4rem; max-width: 46rem; }
@media print { section { break-inside: avoid; } }
"""
