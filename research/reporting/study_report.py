"""The report of a study: what a change does to a metric, over runs with paired seeds."""

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from research.analysis.paired import PairedDifference, paired_difference
from research.config import show
from research.directions import LARGER_IS_BETTER
from research.errors import UserError
from research.figures.curves import compare_curves
from research.figures.differences import compare_pairs, paired_values
from research.lab.run_index import by_importance
from research.report import Picture
from research.reporting.page import command, line, page, section, table
from research.reporting.picture_files import picture_in
from research.reporting.runs_table import shown, unit_of_difference
from research.store.files import write_atomically, write_json
from research.store.metrics_log import Row, read_rows

NAMES = ("baseline", "change")


class Study(NamedTuple):
  """A baseline and a change, measured at the same seeds.

  Attributes:
    experiment: its name.
    command: the line that runs the study again.
    changed: by setting, its value in the baseline and in the change.
    seeds: that both were run at.
    folders: for the baseline and the change, a run's folder for every seed.
    metric: that is compared.
    values: for the two, its last value for every seed, [2, seed].
    histories: for the two, the rows for every seed that hold it.
  """

  experiment: str
  command: str
  changed: Mapping[str, tuple[Any, Any]]
  seeds: Sequence[int]
  folders: Sequence[Sequence[Path]]
  metric: str
  values: np.ndarray
  histories: Sequence[Sequence[Sequence[Row]]]

  @property
  def difference(self) -> PairedDifference:
    """The difference that the change makes."""
    return paired_difference(*self.values)


def measured(folder: Path, metric: str | None, fit: str | None) -> tuple[str, list[Row]]:
  """Chooses what is compared in a run: the metric, and the rows that hold it.

  Args:
    folder: of the run.
    metric: by default the one that says most.
    fit: which of several fits, as its rows name it, in a population with "/" and the member.

  Raises:
    UserError: where the run has no such metric, in several fits, or not finite at its end.
  """
  owned: dict[str, dict[str, list[Row]]] = {}
  for row in read_rows(folder):
    owner = "/".join(str(row[label]) for label in ("fit", "member") if label in row)
    for name, value in row.items():
      if type(value) is float or value is None:
        owned.setdefault(name, {}).setdefault(owner, []).append(row)
  owned = {
    n: o for n, each in owned.items() if (o := {k: r for k, r in each.items() if fit in (None, k)})
  }
  known = by_importance(owned)
  if not known or metric not in (None, *known):
    of = f" of fit {fit!r}" if fit else ""
    raise UserError(f"--metric={metric}: {folder} holds{of} {', '.join(known) or 'no metrics'}")
  name = metric or known[0]
  owners = owned[name]
  if len(owners) > 1:
    raise UserError(f"{name} is of several fits; choose one by --fit={' or '.join(owners)}")
  (rows,) = owners.values()
  if any(row[name] is None for row in rows if row["step"] == rows[-1]["step"]):
    raise UserError(f"{folder}: {name} is not finite at the end, so that nothing can be compared")
  return name, rows


def last_value(rows: Sequence[Row], metric: str) -> float:
  """The metric in the last row; of a member's repetitions, their mean."""
  return float(np.mean([row[metric] for row in rows if row["step"] == rows[-1]["step"]]))


def finding(study: Study) -> str:
  """The study's result in two sentences."""
  found, count = study.difference, len(study.seeds)
  scale, unit = unit_of_difference(study.metric)
  digits = max(2, 1 - math.floor(math.log10(found.half * scale))) if found.half else 4
  number = lambda value: f"{scale * value:.{digits}f}"
  rises = "raises" if found.mean > 0 else "lowers"
  head = (
    f"The change {rises} {study.metric} by {number(abs(found.mean))}{unit} in the mean of {count} "
    f"paired seeds (95 % interval of the difference {number(found.mean - found.half)} to "
    f"{number(found.mean + found.half)}"
  )
  if not found.half:
    same = "the values are equal" if not found.mean else "all differences are equal"
    if not found.mean:
      return f"The change makes no difference to {study.metric}: {same} at each of {count} seeds."
    return f"{head}): {same}, so that no test can judge them."
  test = f"; paired t-test p = {found.p_value:.2g})."
  if not found.is_sure:
    return f"{head}{test} The interval holds zero: the difference may be chance."
  larger = LARGER_IS_BETTER.get(study.metric.rpartition("/")[2])
  better = (
    "" if larger is None else " for the better" if larger == (found.mean > 0) else " for the worse"
  )
  same_way = int((found.values * found.mean > 0).sum())
  return f"{head}{test} It points the same way{better} at {same_way} of {count} seeds."


def text_table(study: Study) -> str:
  """The values by seed, for the terminal."""
  rows = [("seed", *NAMES, "difference"), *_rows(study)]
  return "\n".join("  ".join(f"{cell:>12}" for cell in row) for row in rows)


def _rows(study: Study) -> list[tuple[str, ...]]:
  scale, unit = unit_of_difference(study.metric)
  return [
    (
      str(seed),
      shown(study.metric, one),
      shown(study.metric, two),
      f"{scale * (two - one):+{'.2f' if unit else '.4g'}}{unit}",
    )
    for seed, one, two in zip(study.seeds, *study.values, strict=True)
  ]


def write_study(folder: Path, study: Study) -> Path:
  """Writes study.json and study.html, whole or not at all; returns the page's path."""
  found = study.difference
  folder.mkdir(parents=True, exist_ok=True)
  write_json(
    folder / "study.json",
    {
      "experiment": study.experiment,
      "metric": study.metric,
      "changed": {name: list(pair) for name, pair in study.changed.items()},
      "seeds": list(study.seeds),
      "baseline": study.values[0].tolist(),
      "change": study.values[1].tolist(),
      "mean difference": found.mean,
      "half of its 95 % interval": found.half,
      "p of the paired t-test": None if math.isnan(found.p_value) else found.p_value,
      "runs": [[str(path) for path in own] for own in study.folders],
    },
  )
  settings = [line([name, *map(show, pair)]) for name, pair in study.changed.items()]
  values = [line(row) for row in _rows(study)]
  runs = [
    f"<tr><td>{seed}</td>{''.join(f'<td>{_report_of(run, folder)}</td>' for run in own)}</tr>"
    for seed, own in zip(study.seeds, zip(*study.folders, strict=True), strict=True)
  ]
  panels = "".join(picture_in(picture) for picture in pictures(study))
  parts = [
    f"<header><h1>{escape(study.experiment)}: a study</h1><p>{escape(finding(study))}</p></header>",
    section("What was changed", table(["setting", *NAMES], settings)),
    section("Figures", f'<div class="panels">{panels}</div>'),
    section(f"{study.metric} by seed", table(["seed", *NAMES, "difference"], values)),
    section("Run it again, or with more seeds", command(study.command)),
    section("The runs", table(["seed", *NAMES], runs)),
  ]
  write_atomically(folder / "study.html", page(f"{study.experiment}: a study", parts))
  return folder / "study.html"


def _report_of(run: Path, folder: Path) -> str:
  """A link to a run's report from a page in another folder, by the name of the run's folder."""
  place = quote(os.path.relpath(run / "report.html", folder))
  return f'<a href="{place}">{escape(run.name)}</a>'


def pictures(study: Study) -> list[Picture]:
  """Draws the pairs, their differences, and the curves."""
  (scale, unit), metric = unit_of_difference(study.metric), study.metric
  is_share = scale != 1
  found = study.difference
  return [
    paired_values(
      scale * study.values[0],
      scale * study.values[1],
      NAMES,
      title=metric,
      y=f"{metric} (%)" if is_share else metric,
      caption="The last value of each run; a grey line joins the two runs of a seed.",
    ),
    compare_pairs(
      {"change - baseline": scale * found.values},
      title="The difference",
      x=f"difference of {metric}" + (f" ({unit.strip()})" if unit else ""),
      caption="A grey dot is a pair of runs with the same seed, the diamond their mean with its "
      "95 % interval.",
      panel_inches=(4.6, 2.4),
    ),
    compare_curves(
      dict(zip(NAMES, study.histories, strict=True)),
      metric,
      title="Curves",
      caption=f"{metric} over steps: the mean over seeds, in a band of one standard deviation.",
      panel_inches=(4.6, 3.2),
    ),
  ]
