"""All runs under a folder as values, read from their files alone and without JAX.

A folder that is damaged is a record of that state; a folder that is no run is none.
"""

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from research.directions import LARGER_IS_BETTER
from research.errors import UserError
from research.lab import run_folder
from research.lab.run_folder import Identity
from research.store.files import read_json
from research.store.metrics_log import LABELS, read_rows, read_timing
from research.sweep import study

STATES = ("running", "finished", "interrupted", "damaged")
STUDY = "study.sqlite"
OURS = (run_folder.LOCK, "checkpoints", "metrics.jsonl", "environment.json")  # beside config.json

UNSET = object()
SEARCH = {  # the defaults of a sweep's flags, which are settings of every sweep
  "--sampler": "random",
  "--stopper": "none",
  "--rounds": 1,
  "--objective": None,
  "--seeds": None,
  "--lanes": "auto",
}


class Metric(NamedTuple):
  """A metric over all rows of a run: its best and its last value.

  `best` is None where nothing says whether a larger value is better.
  """

  best: float | None
  last: float


class Record(NamedTuple):
  """A run as its files tell it.

  Attributes:
    folder: where it lies.
    state: one of `STATES`; a run that is neither finished nor running is "interrupted".
    began: when, in seconds since 1970.
    seconds: of training, without pauses; of a sweep, from its beginning to its last trial.
    identity: its settings; None where config.json is damaged.
    changed: those settings that differ from the experiment's defaults.
    metrics: by name.
    claims: how many came to which verdict.
    trials: of a sweep, how many came to which end.
  """

  folder: Path
  state: str
  began: float
  seconds: float
  identity: Identity | None
  changed: Mapping[str, Any]
  metrics: Mapping[str, Metric]
  claims: Mapping[str, int]
  trials: Mapping[str, int]

  @property
  def experiment(self) -> str:
    """The experiment's name; "?" where it cannot be read."""
    return self.identity.experiment if self.identity else "?"

  @property
  def metric(self) -> str | None:
    """The metric that says most: of held-out examples, and one that grows, before others."""
    return next(iter(by_importance(self.metrics)), None)


def find(folder: Path) -> Iterator[Path]:
  """Lists the folders of runs under a folder, itself included, in the order of their names.

  Links are not followed, and nothing inside of a run is a run.

  Raises:
    UserError: where there is no such folder.
  """
  if not folder.is_dir():
    raise UserError(f"--folder={folder} is not a folder")
  for path, folders, files in os.walk(folder):
    is_marked = any(name in OURS for name in (*folders, *files))
    if "config.json" in files and (is_marked or _is_identity(Path(path))):
      yield Path(path)
      folders.clear()
    folders[:] = sorted(name for name in folders if not name.startswith("."))


def _is_identity(folder: Path) -> bool:
  held = read_json(folder / "config.json")
  return isinstance(held, dict) and set(held) == set(Identity._fields)


def record(folder: Path) -> Record:
  """Reads the run in a folder; what is missing or damaged is left out."""
  try:
    identity = run_folder.read_identity(folder)
  except UserError:
    return Record(folder, "damaged", _changed_at(folder / "config.json"), 0.0, None, {}, {}, {}, {})
  claims, (began, seconds) = _verdicts(folder), _times(folder)
  is_running = run_folder.is_locked(folder)
  state = "running" if is_running else "interrupted" if claims is None else "finished"
  metrics, trials = _metrics(read_rows(folder)), dict[str, int]()
  if "--sweep" in identity.config:
    trials, of_trials = _trials(folder)
    metrics = metrics or of_trials
    began = min(began, _changed_at(folder / "config.json"))  # the winner's rows are the first
    seconds = max(0.0, _changed_at(folder / STUDY, folder / f"{STUDY}-wal") - began)
  changed = _changed(folder, identity)
  return Record(folder, state, began, seconds, identity, changed, metrics, claims or {}, trials)


def by_importance(names: Iterable[str]) -> list[str]:
  """Sorts metrics: validation before test before training, and what grows before what falls."""
  return sorted(names, key=_importance)


def _importance(name: str) -> tuple[int, int]:
  split, _, metric = name.rpartition("/")
  order = {True: 0, False: 1, None: 2}
  return {"validation": 0, "test": 1, "train": 3}.get(split, 2), order[LARGER_IS_BETTER.get(metric)]


def _changed_at(*paths: Path) -> float:
  """The latest time at which one of the files was written; 0 where none is there."""
  times = [0.0]
  for path in paths:
    try:
      times.append(path.stat().st_mtime)
    except OSError:
      continue
  return max(times)


def _verdicts(folder: Path) -> dict[str, int] | None:
  """Counts the claims by verdict; None where the run has none yet, and is not finished."""
  held = read_json(folder / "claims.json")
  if not isinstance(held, list):
    return None
  verdicts = [str(claim.get("verdict")) for claim in held if isinstance(claim, dict)]
  return {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}


def _times(folder: Path) -> tuple[float, float]:
  """The time when the run began, and the seconds that it trained."""
  began, total, before = _changed_at(folder / "config.json"), 0.0, None
  for row in read_timing(folder):
    try:
      interval, seconds, at = (row["fit"], row["step"]), float(row["seconds"]), float(row["at"])
    except (ValueError, KeyError, TypeError):
      continue
    if before is None:
      began = at - seconds
    if interval != before:  # the members of a population share an interval
      total += seconds
    before = interval
  return began, total


def _metrics(rows: list[dict[str, Any]]) -> dict[str, Metric]:
  values: dict[str, list[float]] = {}
  for row in rows:
    for name, value in row.items():
      if name != "step" and name not in LABELS and type(value) in (int, float):
        values.setdefault(name, []).append(value)
  return {name: _of_values(name, held) for name, held in values.items()}


def _of_values(name: str, values: list[float], larger: bool | None = None) -> Metric:
  larger = LARGER_IS_BETTER.get(name.rpartition("/")[2]) if larger is None else larger
  return Metric(None if larger is None else max(values) if larger else min(values), values[-1])


def _trials(folder: Path) -> tuple[dict[str, int], dict[str, Metric]]:
  """Counts a sweep's trials by their end, and takes the objective from its reports."""
  try:
    settings, events = study.read(folder / STUDY)
    trials = study.fold({}, events).values()
    objective, larger = settings["objective"], settings["larger_is_better"]
    scores = [value for trial in trials for value in trial.curve(objective)]
  except (UserError, ValueError, KeyError, TypeError):
    return {}, {}
  statuses = [trial.status for trial in trials]
  counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
  finite = [score for score in scores if math.isfinite(score)]
  return counts, {objective: _of_values(objective, finite, larger)} if finite else {}


def _changed(folder: Path, identity: Identity) -> dict[str, Any]:
  """The settings that differ from the defaults; of older runs, those that the command named."""
  surroundings = read_json(folder / "environment.json")
  surroundings = surroundings if isinstance(surroundings, dict) else {}
  names = surroundings.get("changed")
  if not isinstance(names, list):
    try:
      words = shlex.split(str(surroundings.get("command", "")))
    except ValueError:
      words = []
    names = [word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")]
  is_changed = lambda name, value: (
    value != SEARCH.get(name, UNSET) if name.startswith("--") else name in names
  )
  found = {name: value for name, value in identity.config.items() if is_changed(name, value)}
  return ({"seed": identity.seed} if identity.seed else {}) | found
