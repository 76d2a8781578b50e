"""Runs as JSON values for the live page, read from the files that are written anyway."""

import datetime
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.lab import run_folder, run_index
from research.lab.run_index import STUDY, Record
from research.report import PICTURES
from research.reporting.claims_table import shown_bar, shown_value
from research.reporting.runs_table import settings, shown
from research.store.claims_file import bar_and_unit
from research.store.files import read_json
from research.store.metrics_log import Row, read_rows, read_timing
from research.store.progress import clock, duration
from research.sweep import study

MOST_RUNS = 200  # that are listed, the newest
MOST_PANELS = 12
MOST_LINES = 14  # in a panel
MOST_POINTS = 200  # of a line
MOST_TRIALS = 100
RECENT = 5  # intervals, by which the speed is judged
WATCHED = ("config.json", "metrics.jsonl", "timing.jsonl", "claims.json", STUDY, f"{STUDY}-wal")
FIGURE = re.compile(r"[a-z0-9][a-z0-9_-]*\.(svg|png|gif)")


class Runs:
  """The runs under a folder, each read again only after its files have changed."""

  def __init__(self, folder: Path):
    """Reads nothing yet."""
    self.folder = folder
    self._known: dict[Path, tuple[Any, Record]] = {}

  def paths(self) -> dict[str, Path]:
    """The runs' folders by their keys, the paths below the folder."""
    found = run_index.find(self.folder)
    return {path.relative_to(self.folder).as_posix(): path for path in found}

  def record(self, path: Path) -> Record:
    """The run in a folder."""
    state = (run_folder.is_locked(path), *(_changed_at(path / name) for name in WATCHED))
    held = self._known.get(path)
    if held is None or held[0] != state:
      held = self._known[path] = (state, run_index.record(path))
    return held[1]

  def listing(self) -> dict[str, Any]:
    """The newest runs, in a line each."""
    records = [(key, self.record(path)) for key, path in self.paths().items()]
    records.sort(key=lambda pair: (pair[1].state != "running", -pair[1].began))
    shown = [_line(key, record) for key, record in records[:MOST_RUNS]]
    return {"folder": str(self.folder), "runs": shown, "left": len(records) - len(shown)}

  def run(self, key: str) -> dict[str, Any]:
    """All that the page shows of one run.

    Raises:
      KeyError: for a key that is no run's.
    """
    path = self.paths()[key]
    record, rows = self.record(path), read_rows(path)
    claims = read_json(path / "claims.json")
    return _line(key, record) | {
      "progress": _progress(path, record),
      "panels": _panels(rows),
      "trials": _trials(path),
      "claims": _claims(claims if isinstance(claims, list) else []),
      "figures": _figures(path),
      "has_report": (path / "report.html").is_file(),
    }

  def figure(self, key: str, name: str) -> Path:
    """The file of a run's figure.

    Raises:
      KeyError: for what is no run or no figure of it.
    """
    path = self.paths()[key] / "figures" / name
    if not FIGURE.fullmatch(name) or path.is_symlink() or not path.is_file():
      raise KeyError(name)
    return path

  def report(self, key: str) -> Path:
    """The file of a run's report.

    Raises:
      KeyError: for what is no run, or one without a report.
    """
    path = self.paths()[key] / "report.html"
    if path.is_symlink() or not path.is_file():
      raise KeyError(key)
    return path


def _changed_at(path: Path) -> int:
  try:
    return path.stat().st_mtime_ns
  except OSError:
    return 0


def _line(key: str, record: Record) -> dict[str, Any]:
  metric = record.metric
  held = record.metrics.get(metric or "")
  best = ""
  if metric and held:
    best = f"{metric} {shown(metric, held.last if held.best is None else held.best)}"
  return {
    "key": key,
    "experiment": record.experiment,
    "state": record.state,
    "when": datetime.datetime.fromtimestamp(record.began).strftime("%Y-%m-%d %H:%M"),
    "took": duration(record.seconds),
    "best": best,
    "settings": settings(record.changed),
  }


def _progress(path: Path, record: Record) -> dict[str, Any] | None:
  """The progress of a running fit or sweep, with the time left; None where nothing says so."""
  if record.state != "running":
    return None
  trials, total = record.trials, (record.identity.config if record.identity else {}).get("--trials")
  if trials and isinstance(total, int) and total > 0:
    ended = sum(count for status, count in trials.items() if status in study.ENDS)
    if ended < total:  # then the winner trains alone
      left = record.seconds / ended * (total - ended) if ended else None
      return _part(f"{ended} of {total} trials", ended / total, left)
  return time_left(read_timing(path), time.time())


def time_left(timing: Sequence[Row], now: float) -> dict[str, Any] | None:
  """The last fit's progress from its rows of times, at a time in seconds since 1970."""
  try:
    last = timing[-1]
    own = [row for row in timing if row["fit"] == last["fit"] and row["of"] == last["of"]]
    recent = list({row["step"]: row for row in own}.values())[-RECENT - 1 :]
    done = recent[-1]["step"] - recent[0]["step"]
    spent = sum(row["seconds"] for row in recent[1:])
    left = None
    if done > 0:
      left = max(0.0, spent / done * (last["of"] - last["step"]) - (now - last["at"]))
    text = f"{last['fit']}: step {last['step']:,} of {last['of']:,}"
    return _part(text, last["step"] / last["of"], left)
  except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
    return None


def _part(text: str, share: float, left: float | None) -> dict[str, Any]:
  said = text if left is None else f"{text}, about {clock(left)} left"
  return {"text": said, "share": min(1.0, share)}


def _panels(rows: Sequence[Row]) -> list[dict[str, Any]]:
  """A panel for each metric: lines by fit, member and repetition."""
  lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
  for row in rows:
    owner = "/".join(str(row[label]) for label in ("fit", "member", "repeat") if label in row)
    for name, value in row.items():
      if type(value) in (int, float) and "/" in name and math.isfinite(value):
        lines.setdefault(name, {}).setdefault(owner, []).append((row["step"], value))
  return [
    {
      "name": name,
      "percent": name.endswith("accuracy"),
      "lines": [
        {"name": owner if len(lines[name]) > 1 else "", "points": _thinned(points)}
        for owner, points in list(lines[name].items())[-MOST_LINES:]
      ],
    }
    for name in run_index.by_importance(lines)[:MOST_PANELS]
  ]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
  """Every second, third, ... point, and the last."""
  every = math.ceil(len(points) / MOST_POINTS)
  kept = list(points[::every])
  return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _trials(path: Path) -> dict[str, Any] | None:
  """A sweep's trials, the best first."""
  try:
    settings, events = study.read(path / STUDY)
    trials = list(study.fold({}, events).values())
    objective, sign = settings["objective"], 1 if settings["larger_is_better"] else -1
  except (UserError, ValueError, KeyError, TypeError):
    return None

  def score(trial: study.Trial) -> float:
    curve = [value for value in trial.curve(objective) if math.isfinite(value)]
    return curve[-1] if curve else math.nan

  order = lambda trial: -sign * score(trial) if math.isfinite(score(trial)) else math.inf
  names = list(trials[0].values) if trials else []
  rows = [
    [
      str(trial.number),
      trial.status,
      shown(objective, score(trial)) if math.isfinite(score(trial)) else "–",
      str(len(trial.reports)),
      *(
        f"{value:.4g}" if isinstance(value, float) else str(value)
        for value in (trial.values[name] for name in names)
      ),
    ]
    for trial in sorted(trials, key=order)[:MOST_TRIALS]
  ]
  return {"head": ["trial", "status", objective, "intervals", *names], "rows": rows}


def _claims(claims: Sequence[Mapping[str, Any]]) -> list[list[str]]:
  found = []
  for claim in claims:
    try:
      bar, unit = bar_and_unit(claim)
      ours = math.nan if claim["ours"] is None else float(claim["ours"])
      words = [claim["id"], claim["what"], shown_value(ours, bar, unit), shown_bar(bar, unit)]
      found.append([*map(str, words), str(claim["verdict"])])
    except (KeyError, TypeError, ValueError):
      continue
  return found


def _figures(path: Path) -> list[dict[str, str]]:
  try:
    captions = json.loads((path / "figures" / "captions.json").read_text())
    names = {str(name): str(caption) for name, caption in captions.items()}
  except (OSError, ValueError, AttributeError):
    return []
  kinds = (".svg", *PICTURES)
  return [
    {"file": name + kind, "caption": caption}
    for name, caption in names.items()
    for kind in [next((k for k in kinds if (path / "figures" / f"{name}{k}").is_file()), None)]
    if kind and FIGURE.fullmatch(name + kind)
  ]
