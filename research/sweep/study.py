"""The study: every decision and every report of a sweep, as events in one SQLite file.

Trials, scores and figures are rebuilt by replaying the events. Events that belong
together are one transaction, so that a killed process leaves all of them or none; events behind the
last checkpoint are undone and happen again.
"""

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from research.errors import UserError

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, trial INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS times (number INTEGER PRIMARY KEY, at REAL NOT NULL);
"""
KINDS = (
  "started",  # a trial: its values and its round
  "reported",  # an interval of a trial: its metrics
  "paused",  # a trial keeps its state and waits
  "resumed",  # a paused trial goes on
  "stopped",  # a trial will not go on
  "diverged",  # a loss was not finite
  "finished",  # a trial reached its last step
  "copied",  # a trial took over another's state, and has new values
  "narrowed",  # a round begins with another space
)
SLOTS = "seats"  # the setting's name in files
ENDS = ("stopped", "diverged", "finished")


class Event(NamedTuple):
  """Something that happened to a trial; for the beginning of a round, to its first trial."""

  kind: str
  trial: int
  data: Mapping[str, Any] = MappingProxyType({})


class Study:
  """The events in a file, in order; `count` of them so far, of trials in `slots` slots."""

  def __init__(self, path: Path, settings: dict[str, Any], *, may_grow: bool = False):
    """Opens the study, or creates it.

    Args:
      path: of the SQLite file.
      settings: what makes a study this study.
      may_grow: whether a study with fewer trials may get more. While some are training, the
        number of slots stays.

    Raises:
      UserError: when the file is no study, or one with other settings.
    """
    self._path = path
    try:
      self._connection = sqlite3.connect(path, isolation_level=None)
      # Whole after a kill at any moment; a power cut may cost the last events, never the order.
      self._connection.execute("PRAGMA journal_mode=WAL")
      self._connection.execute("PRAGMA synchronous=NORMAL")
      self._connection.executescript(TABLES)
      (self.count,) = self._connection.execute("SELECT count(*) FROM events").fetchone()
      self.slots: int = settings.get(SLOTS, 0)
      self._check(settings, may_grow)
    except sqlite3.DatabaseError as error:
      raise UserError(
        f"{path} cannot be read as a study: {error}; put it back, or start over with --fresh"
      ) from error

  def _check(self, settings: dict[str, Any], may_grow: bool) -> None:
    wanted = {name: json.dumps(value) for name, value in settings.items()}
    found = _settings(self._connection)
    if not found:
      with self._connection:
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO settings VALUES (?, ?)", wanted.items())
      return
    if may_grow and found != wanted and int(wanted["trials"]) >= int(found["trials"]):
      if settled(self.events()) < self.count:
        self.slots, wanted[SLOTS] = json.loads(found[SLOTS]), found[SLOTS]
      grown = found | {name: wanted[name] for name in ("trials", SLOTS)}
      if grown == wanted:
        with self._connection:
          self._connection.executemany("REPLACE INTO settings VALUES (?, ?)", grown.items())
        found = grown
    if found != wanted:
      name = next(name for name in wanted | found if found.get(name) != wanted.get(name))
      raise UserError(
        f"{self._path} is a study with {name}={found.get(name)}, not {wanted.get(name)}; give the "
        "same settings to resume it, or start over with --fresh"
      )

  def record(self, events: Iterable[Event]) -> None:
    """Adds events in one transaction."""
    rows = [
      (self.count + place, event.kind, event.trial, json.dumps(_finite(event.data)))
      for place, event in enumerate(events)
    ]
    with self._connection:
      self._connection.execute("BEGIN")
      self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
      times = [(number, time.time()) for number, *_ in rows]
      self._connection.executemany("INSERT INTO times VALUES (?, ?)", times)
    self.count += len(rows)

  def undo(self, count: int) -> None:
    """Keeps the first `count` events only."""
    with self._connection:
      self._connection.execute("BEGIN")
      self._connection.execute("DELETE FROM events WHERE number >= ?", (count,))
      self._connection.execute("DELETE FROM times WHERE number >= ?", (count,))
    self.count = count

  def events(self) -> list[Event]:
    """All events, in order."""
    rows = self._connection.execute("SELECT kind, trial, data FROM events ORDER BY number")
    return [Event(kind, trial, json.loads(data)) for kind, trial, data in rows]

  def close(self) -> None:
    """Closes the file."""
    self._connection.close()


def read(path: Path) -> tuple[dict[str, Any], list[Event]]:
  """Reads settings and events of a study, which may be in use.

  Raises:
    UserError: where there is none.
  """
  if not path.is_file():
    raise UserError(f"there is no study {path}")
  try:
    connection = _opened_to_read(path)
    settings = {name: json.loads(value) for name, value in _settings(connection).items()}
    rows = connection.execute("SELECT kind, trial, data FROM events ORDER BY number").fetchall()
    connection.close()
  except sqlite3.DatabaseError as error:
    raise UserError(f"{path} cannot be read as a study: {error}") from error
  return settings, [Event(kind, trial, json.loads(data)) for kind, trial, data in rows]


def _opened_to_read(path: Path) -> sqlite3.Connection:
  # Where no writer is at work there is no log beside the file, and a reader must leave none.
  at_rest = "" if Path(f"{path}-wal").exists() else "&immutable=1"
  name = quote(str(path.absolute()))  # a "?" or "#" would end it
  return sqlite3.connect(f"file:{name}?mode=ro{at_rest}", uri=True)


def read_times(path: Path) -> dict[int, tuple[float, float]]:
  """The times of the first and the last event of each trial, in seconds since 1970.

  Equal studies differ in them, so that they stand in a table of their own; older studies have none.
  """
  found = _times(
    path,
    "SELECT trial, min(at), max(at) FROM events JOIN times USING (number)"
    " WHERE kind != 'narrowed' GROUP BY trial",
  )
  return {trial: (first, last) for trial, first, last in found}


def read_report_times(path: Path) -> dict[int, list[float]]:
  """The times of each trial's reports, in their order, in seconds since 1970; as `read_times`."""
  found: dict[int, list[float]] = {}
  for trial, at in _times(
    path,
    "SELECT trial, at FROM events JOIN times USING (number)"
    " WHERE kind = 'reported' ORDER BY number",
  ):
    found.setdefault(trial, []).append(at)
  return found


def _times(path: Path, query: str) -> list[tuple]:
  connection = _opened_to_read(path)
  try:
    return connection.execute(query).fetchall()
  except sqlite3.OperationalError:  # no such table
    return []
  finally:
    connection.close()


def _settings(connection: sqlite3.Connection) -> dict[str, str]:
  """Reads stored settings; a study without a direction minimised what ends in "loss"."""
  found = dict(connection.execute("SELECT name, value FROM settings"))
  if found:
    minimised = json.loads(found.get("objective", '""')).endswith("loss")
    found.setdefault("larger_is_better", json.dumps(not minimised))
  return found


def settled(events: Sequence[Event]) -> int:
  """Counts the events up to the last moment at which no trial trained or waited.

  From there a sweep goes on without any state.
  """
  on_their_way, last = set[int](), 0
  for count, event in enumerate(events, 1):
    if event.kind == "started":
      on_their_way.add(event.trial)
    elif event.kind in ENDS:
      on_their_way.discard(event.trial)
      last = last if on_their_way else count
  return last


class Trial:
  """A trial, as it follows from its events.

  Attributes:
    number: counted from 0.
    values: of the swept fields, as they are now.
    round: of a search from coarse to fine.
    status: "running", "paused", or one of ENDS.
    reports: for each interval, metrics by name, each a list with a value for every repetition.
    schedule: the values that its state was trained with, also before it took the state over:
      each with the number of intervals after which they came into force.
  """

  def __init__(self, number: int, values: dict[str, Any], round: int):
    self.number, self.values, self.round = number, values, round
    self.status = "running"
    self.reports: list[dict[str, list[float | None]]] = []
    self.schedule = [(0, values)]
    self._means: dict[str, list[float]] = {}

  def curve(self, metric: str) -> list[float]:
    """Returns means over repetitions, one per interval; NaN where a value was not finite."""
    means = self._means.setdefault(metric, [])
    means += [_mean(report[metric]) for report in self.reports[len(means) :]]
    return list(means)

  @property
  def has_ended(self) -> bool:
    """Tells whether the trial has ended for good."""
    return self.status in ENDS


def _mean(values: Sequence[float | None]) -> float:
  known = [value for value in values if value is not None]
  return sum(known) / len(known) if len(known) == len(values) else math.nan


def fold(trials: dict[int, Trial], events: Iterable[Event]) -> dict[int, Trial]:
  """Applies events to trials; changes and returns `trials`."""
  for event in events:
    if event.kind == "started":
      values = {n: tuple(v) if isinstance(v, list) else v for n, v in event.data["values"].items()}
      trials[event.trial] = Trial(event.trial, values, event.data["round"])
    elif event.kind == "reported":
      trials[event.trial].reports.append(_finite(event.data))
    elif event.kind == "copied":
      trial, source = trials[event.trial], trials[event.data["source"]]
      trial.values = event.data["values"]
      trial.schedule = [*source.schedule, (len(trial.reports), trial.values)]
    elif event.kind == "resumed":
      trials[event.trial].status = "running"
    elif event.kind != "narrowed":
      trials[event.trial].status = event.kind
  return trials


def _finite(value: Any) -> Any:
  """Replaces numbers that are not finite by None, since JSON has none for them."""
  if isinstance(value, Mapping):
    return {name: _finite(each) for name, each in value.items()}
  if isinstance(value, list | tuple):
    return [_finite(each) for each in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value
