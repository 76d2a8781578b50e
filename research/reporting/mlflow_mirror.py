"""Runs and sweeps copied into a local MLflow store, for its pages.

    pip install -e '.[mlflow]' -c constraints.txt
    python -m research.reporting.mlflow_mirror runs mlflow.sqlite
    mlflow ui --backend-store-uri sqlite:///mlflow.sqlite

The copy is made anew each time, also while runs go on; nothing is read back from it. MLflow's pages
come with the package mlflow, which needs an environment of its own: it asks for an older pyarrow.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from research.config import show
from research.errors import UserError
from research.lab.run_index import STUDY, Record, find, record
from research.store.files import read_json
from research.store.metrics_log import LABELS, identity_of, read_rows, read_timing
from research.sweep import study
from research.sweep.search import package

STATUS = {  # MLflow's, of our runs' states and our trials' ends
  "finished": "FINISHED",
  "running": "RUNNING",
  "interrupted": "KILLED",
  "damaged": "FAILED",
  "stopped": "KILLED",
  "paused": "KILLED",
  "diverged": "FAILED",
}
MOST = {"metrics": 1000, "params": 100}  # of one call
LONGEST = 6000  # characters of a setting

Value = tuple[str, float, int, float]  # a metric's name, value and step; seconds since 1970


class Mirrored(NamedTuple):
  """A run or a trial as MLflow has it.

  Attributes:
    name: of the run.
    status: one of `STATUS`'s keys.
    began: in seconds since 1970.
    ended: likewise; None while it goes on.
    settings: by name.
    values: of metrics.
    tags: by name.
  """

  name: str
  status: str
  began: float
  ended: float | None
  settings: Mapping[str, Any]
  values: list[Value]
  tags: Mapping[str, str]


def mirror(folder: Path, store: Path) -> int:
  """Copies all runs under a folder into a store; returns how many there are, trials not counted.

  Args:
    folder: of runs.
    store: an SQLite file, which is replaced.

  Raises:
    UserError: where there is no such folder, a file that is no store, or no MLflow.
  """
  records = [record(path) for path in find(folder)]
  _refuse_other_file(store)
  os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent anywhere
  wanted = "-e '.[mlflow]'"
  for name in ("sqlalchemy", "alembic"):  # of its stores in SQLite
    package(name, "research.reporting.mlflow_mirror", wanted)
  tracking = package("mlflow.tracking", "research.reporting.mlflow_mirror", wanted)
  for name in ("alembic", "mlflow"):
    logging.getLogger(name).setLevel(logging.WARNING)
  new = store.with_name(f"{store.name}.new")
  new.unlink(missing_ok=True)
  client = tracking.MlflowClient(f"sqlite:///{new.absolute()}")
  artifacts = store.with_suffix(".artifacts").absolute().as_uri()
  groups: dict[str, str] = {}
  for each in records:
    if each.experiment not in groups:
      groups[each.experiment] = client.create_experiment(each.experiment, artifacts)
    parent = _write(client, groups[each.experiment], _run(each, folder))
    for trial in _trials(each):
      _write(client, groups[each.experiment], trial, parent)
  new.replace(store)
  return len(records)


def _refuse_other_file(store: Path) -> None:
  if store.is_dir() or not store.absolute().parent.is_dir():
    raise UserError(f"{store} cannot be a store; give a file in a folder that is there")
  if store.exists() and not store.read_bytes().startswith(b"SQLite format 3"):
    raise UserError(f"{store} is no store of MLflow's; give another file")


def _run(held: Record, folder: Path) -> Mirrored:
  """A run with all its metrics; where it has several fits, they stand before the metric's name."""
  rows = read_rows(held.folder)
  times = {(identity_of(row), row.get("step")): row.get("at") for row in read_timing(held.folder)}
  owners = {identity_of(row) for row in rows}
  values = []
  for row in rows:
    owner = identity_of(row)
    before = f"{owner}/" if len(owners) > 1 else ""
    at = float(times.get((owner, row["step"])) or held.began)
    values += [
      (before + name, value, row["step"], at)
      for name, value in row.items()
      if name != "step" and name not in LABELS and isinstance(value, int | float)
    ]
  ended = max([held.began + held.seconds, *(at for *_, at in values)])
  about = read_json(held.folder / "environment.json")
  about = about if isinstance(about, dict) else {}
  settings = {"seed": held.identity.seed} | dict(held.identity.config) if held.identity else {}
  is_own = held.folder == folder
  return Mirrored(
    held.folder.name if is_own else str(held.folder.relative_to(folder)),
    held.state,
    held.began,
    None if held.state == "running" else ended,
    settings,
    values,
    {
      "state": held.state,
      "claims": ", ".join(f"{count} {verdict}" for verdict, count in held.claims.items()),
      "commit": str(about.get("commit") or ""),
      "mlflow.note.content": f"`{about.get('command', '')}`\n\n{held.folder.absolute()}",
    },
  )


def _trials(held: Record) -> Iterator[Mirrored]:
  """The trials of a sweep; one that was pruned has the values up to its end."""
  path = held.folder / STUDY
  if not held.trials:
    return
  times, reported = study.read_times(path), study.read_report_times(path)
  for trial in study.fold({}, study.read(path)[1]).values():
    began, ended = times.get(trial.number, (held.began, held.began + held.seconds))
    at = reported.get(trial.number, [])
    values = [
      (name, value, interval, at[interval - 1] if interval <= len(at) else ended)
      for interval, report in enumerate(trial.reports, 1)
      for name in report
      if (value := trial.curve(name)[interval - 1]) == value  # a number
    ]
    settings = {name: show(value) for name, value in trial.values.items()}
    tags = {"state": trial.status, "round": str(trial.round)}
    is_on = trial.status == "running"
    name = f"{held.folder.name}, trial {trial.number}"
    yield Mirrored(name, trial.status, began, None if is_on else ended, settings, values, tags)


def _write(client: Any, group: str, run: Mirrored, parent: str = "") -> str:
  """Writes one run; returns its id."""
  from mlflow.entities import Metric, Param

  milliseconds = lambda seconds: round(1000 * seconds)
  tags = {"mlflow.runName": run.name, **{name: text for name, text in run.tags.items() if text}}
  if parent:
    tags["mlflow.parentRunId"] = parent
  made = client.create_run(group, start_time=milliseconds(run.began), tags=tags)
  id = made.info.run_id
  params = [Param(_named(name), str(value)[:LONGEST]) for name, value in run.settings.items()]
  metrics = [
    Metric(_named(name), value, milliseconds(at), step) for name, value, step, at in run.values
  ]
  for start in range(0, len(params), MOST["params"]):
    client.log_batch(id, params=params[start : start + MOST["params"]])
  for start in range(0, len(metrics), MOST["metrics"]):
    client.log_batch(id, metrics=metrics[start : start + MOST["metrics"]])
  if run.ended is not None:
    client.set_terminated(id, STATUS[run.status], milliseconds(run.ended))
  return id


def _named(name: str) -> str:
  """A name with characters that MLflow takes."""
  return re.sub(r"[^\w\-. :/]", "_", name.removeprefix("--"))


if __name__ == "__main__":
  try:
    if len(sys.argv) != 3:
      raise UserError("give a folder of runs and a file, such as runs mlflow.sqlite")
    print(f"{mirror(Path(sys.argv[1]), Path(sys.argv[2]))} runs in {sys.argv[2]}")
  except UserError as error:
    sys.exit(f"research.reporting.mlflow_mirror: {error}")
