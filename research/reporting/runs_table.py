"""The list of runs: which are shown, in which order, and as what text."""

import datetime
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from research.config import show
from research.directions import LARGER_IS_BETTER
from research.errors import UserError, unknown_name
from research.lab.run_index import Record
from research.reporting.text_table import text_lines
from research.store.progress import duration

ORDERS = ("when", "took", "experiment", "state", "best", "folder")  # and names of settings, metrics
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
  "<=": operator.le,
  ">=": operator.ge,
  "!=": operator.ne,
  "=": operator.eq,
  "<": operator.lt,
  ">": operator.gt,
}


def value_of(record: Record, name: str, metric: str | None = None) -> Any:
  """A run's value under the name of an order, a setting or a metric; None where it has none.

  Args:
    record: of the run.
    name: such as "when", "optimizer.learning_rate" or "test/accuracy".
    metric: that "best" speaks of; by default the one that says most.
  """
  own = {
    "when": record.began,
    "took": record.seconds,
    "experiment": record.experiment,
    "state": record.state,
    "folder": str(record.folder),
    "seed": record.identity.seed if record.identity else None,
  }
  if name in own:
    return own[name]
  name = (metric or record.metric or "") if name == "best" else name
  if name in record.metrics:
    held = record.metrics[name]
    return held.last if held.best is None else held.best
  config = record.identity.config if record.identity else {}
  return config.get(name, config.get(f"--{name}"))


def where(records: Sequence[Record], text: str) -> list[Record]:
  """Chooses the runs of which every condition holds, as in "epochs=5; test/accuracy>=0.9".

  Raises:
    UserError: for what is no condition, or a name that no run knows.
  """
  for condition in filter(None, map(str.strip, text.split(";"))):
    parts = re.fullmatch(r"([^<>=!]+?)\s*(<=|>=|!=|=|<|>)\s*(.*)", condition)
    if not parts:
      raise UserError(f"--where={condition!r} is no condition; write NAME=VALUE, NAME<VALUE, ...")
    name, sign, wanted = parts.groups()
    check_name(records, name, "--where")
    records = [each for each in records if _holds(value_of(each, name), sign, wanted)]
  return list(records)


def _holds(value: Any, sign: str, wanted: str) -> bool:
  if value is None:
    return False
  text = show(value)
  try:
    return COMPARISONS[sign](float(text), float(wanted))
  except ValueError:
    return COMPARISONS[sign](text, wanted)


def check_name(records: Sequence[Record], name: str, flag: str) -> None:
  """Raises a UserError for a name that is neither an order nor of any run."""
  known = {*ORDERS, "seed"}
  for record in records:
    config = record.identity.config if record.identity else {}
    known |= {key.removeprefix("--") for key in config} | set(record.metrics)
  if records and name not in known:
    raise UserError(f"{flag}: {unknown_name(name, sorted(known), 'name')}")


def ordered(records: Sequence[Record], name: str, metric: str | None = None) -> list[Record]:
  """Sorts the runs by a name, as in `value_of`; with "-" before it, from its other end.

  "when" begins with the newest run, "best" with the best one. Runs without the value come last.

  Raises:
    UserError: for a name that no run knows.
  """
  is_reversed, name = name.startswith("-"), name.removeprefix("-")
  check_name(records, name, "--sort")
  sign = -1 if name == "when" else 1
  held, without = list[tuple[Any, Record]](), list[tuple[Any, Record]]()
  for record in records:
    value = value_of(record, name, metric)
    key = metric or record.metric or ""
    if name == "best" and isinstance(value, int | float):
      value = value * (-1 if LARGER_IS_BETTER.get(key.rpartition("/")[2]) else 1)
    number = isinstance(value, int | float)
    text = "" if number else show(value)
    place = (not number, sign * value if number else 0, text)
    (without if value is None else held).append((place, record))
  held.sort(key=lambda pair: pair[0], reverse=is_reversed)
  return [record for _, record in [*held, *without]]


def as_text(records: Sequence[Record], metric: str | None = None, width: int = 0) -> str:
  """The runs as a table, a line each; with a `width`, long settings are cut to it."""
  rows = [("when", "took", "experiment", "state", "best", "folder", "settings")]
  for record in records:
    rows.append(
      (
        datetime.datetime.fromtimestamp(record.began).strftime("%Y-%m-%d %H:%M"),
        duration(record.seconds),
        record.experiment,
        _state(record),
        _best(record, metric),
        str(record.folder),
        settings(record.changed),
      )
    )
  lines = text_lines(rows)
  if width:
    lines = [line if len(line) <= width else line[: width - 1] + "…" for line in lines]
  return "\n".join(lines)


def as_json(record: Record, metric: str | None = None) -> dict[str, Any]:
  """The run as a JSON value; times are seconds, `began` those since 1970."""
  name = metric or record.metric
  held = record.metrics.get(name or "")
  return {
    "folder": str(record.folder),
    "experiment": record.experiment,
    "seed": record.identity.seed if record.identity else None,
    "state": record.state,
    "began": record.began,
    "seconds": record.seconds,
    "changed": dict(record.changed),
    "metric": name if held else None,
    "best": held.best if held else None,
    "last": held.last if held else None,
    "claims": dict(record.claims),
    "trials": dict(record.trials),
  }


def settings(values: Mapping[str, Any]) -> str:
  """Settings as they are written on the command line, without the dashes."""
  return " ".join(f"{name.removeprefix('--')}={show(value)}" for name, value in values.items())


def shown(metric: str, value: float | None) -> str:
  """A metric's value for readers: accuracies in %, others with five digits."""
  if value is None:
    return "-"
  return f"{100 * value:.2f} %" if metric.endswith("accuracy") else f"{value:.5g}"


def unit_of_difference(metric: str) -> tuple[float, str]:
  """The factor and the unit of a metric's difference: differences of accuracies are in points."""
  return (100.0, " points") if metric.endswith("accuracy") else (1.0, "")


def _state(record: Record) -> str:
  failed = record.claims.get("fail", 0)
  ended = sum(count for end, count in record.trials.items() if end not in ("running", "paused"))
  notes = [f"{failed} failed"] if failed else []
  notes += [f"{ended}/{sum(record.trials.values())} trials"] if record.trials else []
  return record.state + (f" ({', '.join(notes)})" if notes else "")


def _best(record: Record, metric: str | None) -> str:
  name = metric or record.metric or ""
  if name not in record.metrics:
    return "-"
  held = record.metrics[name]
  return f"{name} {shown(name, held.last if held.best is None else held.best)}"
