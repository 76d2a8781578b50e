"""The page of a diagnosis: what to work on first, and what it is concluded from."""

import csv
import io
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from research.analysis.diagnosis import WRONG_LABELS
from research.analysis.error_gaps import HUMAN
from research.analysis.shares import Interval, rise, wilson
from research.figures.functions import Panel, function_curves
from research.figures.intervals import interval_rows
from research.lab import tag_file
from research.lab.run_diagnosis import RunDiagnosis
from research.report import Picture
from research.reporting import picture_files
from research.reporting.error_gallery import gallery
from research.reporting.page import bullets, command, figure_of, line, page, prose, section, table
from research.store.files import write_atomically

PAGE, FOLDER = "diagnosis.html", "diagnosis"  # in the run's folder
ERRORS, SUSPECTS = "errors.csv", "suspected_labels.csv"
MOST_SUSPECTS = 60  # that are shown; the file has all
MOST_SLICES = 12
TOGETHER = "\u00a0"  # a space at which no line breaks


def write(folder: Path, found: RunDiagnosis) -> Path:
  """Writes the page, its figures and two CSV files into a run's folder; returns the page's path.

  A file of errors in which somebody has written tags stays as it is.
  """
  beside = folder / FOLDER
  label = np.asarray(found.data["label"])
  shown = picture_files.write(beside, _pictures(found))
  figures = {path.stem: figure_of(path, caption) for path, caption in shown}
  tag_file.write(beside / ERRORS, tag_file.text(found.errors, label, found.answers, found.places))
  write_atomically(beside / SUSPECTS, _suspects_text(found))
  parts = [
    _introduction(found),
    section("Gaps", figures["errors"] + _gaps(found)),
    section("Learning curve", figures.get("curve", "") + _curve(found)),
    section("What is the matter with the errors", figures.get("tags", "") + _tags(found, folder)),
    section("The errors", _errors(found)),
    section("Labels that are probably wrong", _suspects(found)),
    section("Slices", figures.get("slices", "") + _slices(found)),
    section("Left out, and why", bullets(found.notes)),
  ]
  path = folder / PAGE
  write_atomically(path, page(f"Diagnosis of {found.run}", parts))
  return path


def _percent(share: float) -> str:
  return f"{100 * share:.2f}{TOGETHER}%"


def _points(share: float) -> str:
  return f"{100 * share:+.2f}"


def _ends(interval: Interval, signed: bool = False) -> str:
  sign = "+" if signed else ""
  return f"{100 * interval.low:{sign}.2f} to {100 * interval.high:{sign}.2f}".replace(" ", TOGETHER)


def _introduction(found: RunDiagnosis) -> str:
  diagnosis, first = found.diagnosis, found.diagnosis.first
  is_sure = first.interval.low > 0
  said = (
    f"Work first on: {diagnosis.cause}."
    if is_sure
    else f"No gap is larger than chance may make it; the largest is {first.name}."
  )
  about = (
    f"The error rises by {100 * first.rise:.2f} points (95 % interval {_ends(first.interval)}) "
    f"from {first.before} to {first.after}, the largest of the gaps; it is so in "
    f"{100 * first.largest:.0f} % of draws of all examples anew. "
  )
  if diagnosis.cause == WRONG_LABELS:
    about += (
      f"But about {100 * min(diagnosis.at_random or 0, 1):.0f} % of these errors have labels that "
      "the network finds no more likely than any other class, as labels that are wrong at random. "
    )
  about += 'To try, says Ng\'s lesson ("Structuring machine learning projects", weeks 1 and 2):'
  kind = "fail" if is_sure else "undecided"
  head = f"<h1>Diagnosis of {escape(found.run)}</h1>"
  summary = f'<p class="summary {kind}">{escape(said)}</p>'
  return f"<header>{head}{summary}{prose(about)}{bullets(diagnosis.to_try)}</header>"


def _gaps(found: RunDiagnosis) -> str:
  diagnosis = found.diagnosis
  rows = [line([HUMAN, _percent(diagnosis.human), "given", "", "", "", "", ""])]
  for gap in diagnosis.gaps:
    count = diagnosis.counts[gap.after]
    rows.append(
      line(
        [
          gap.after + f" ({found.split})" * (gap.after == diagnosis.examined != found.split),
          _percent(count.share),
          _ends(wilson(count)),
          f"{count.wrong:,} of {count.total:,}".replace(" ", TOGETHER),
          gap.name,
          _points(gap.rise),
          _ends(gap.interval, signed=True),
          f"{100 * gap.largest:.0f} %",
        ],
        "first" if gap is diagnosis.first else "",
      )
    )
  head = ("set", "error", "95 %", "wrong", "gap above", "points", "95 %", "largest in")
  return table(head, rows)


def _curve(found: RunDiagnosis) -> str:
  if len(found.curve) < 2:
    return ""
  fewer, whole = found.curve[-2:]
  fall, ends = rise(whole.dev.share, wilson(whole.dev), fewer.dev.share, wilson(fewer.dev))
  more = "more data are likely to help" if ends.low > 0 else "chance alone may make as much"
  return prose(
    f"From {fewer.examples:,} to {whole.examples:,} training examples the {found.split} error "
    f"falls by {100 * fall:.2f} points (95 % interval {_ends(ends)}): {more}. The smaller networks "
    "made as many steps; their last ones are shown, and the run's own best one."
  )


def _curve_picture(found: RunDiagnosis) -> Picture:
  """Both errors over the number of training examples, with their intervals."""
  places = np.arange(len(found.curve))
  series = {
    "training": [point.train for point in found.curve],
    found.split: [point.dev for point in found.curve],
  }
  bands = {
    name: 100 * np.array([wilson(each) for each in counts]).T for name, counts in series.items()
  }
  return function_curves(
    [
      Panel(
        "error (%)",
        {
          name: (places, 100 * np.array([each.share for each in counts]))
          for name, counts in series.items()
        },
        ticks=[f"{point.examples:,}" for point in found.curve],
        bands={name: (low, high) for name, (low, high) in bands.items()},
        levels={HUMAN: 100 * found.diagnosis.human},
        y_range=(0, None),
      )
    ],
    title="Errors by the number of training examples",
    x="training examples",
    caption="With 95 % intervals. Where the dev error still falls, more data help; where both meet "
    "above the human level, they do not.",
    file="curve",
  )


def _tags(found: RunDiagnosis, folder: Path) -> str:
  diagnosis = found.diagnosis
  if not len(found.errors):
    return prose(f"There is no error on the {found.split} set.")
  if not diagnosis.tags:
    file = folder / FOLDER / ERRORS
    words = (
      f"Look at the errors below and write in the column `tags` of `{file.name}`, beside this page "
      f"in `{FOLDER}`, what is the matter with each: several tags divided by `{tag_file.BETWEEN}`, "
      f"`{tag_file.NO_TAG}` where nothing is. Rows without any are not counted. Then:"
    )
    asked = ["python", "launch.py", "diagnose", str(folder), f"--tags={file}"]
    return prose(words) + command(shlex.join(asked))
  error = diagnosis.counts[diagnosis.examined].share
  rows = [
    line(
      [
        row.tag,
        str(row.errors),
        f"{100 * row.share:.0f} %",
        f"{100 * row.gain:.2f}",
        _ends(Interval(row.low * error, row.high * error)),
        _percent(error - row.gain),
      ]
    )
    for row in diagnosis.tags
  ]
  head = ("tag", "errors", "of those seen", "ceiling (points)", "95 %", "error then at least")
  return table(head, rows)


def _errors(found: RunDiagnosis) -> str:
  if not len(found.errors):
    return ""
  label, answers = np.asarray(found.data["label"]), found.answers
  count = found.diagnosis.counts[found.diagnosis.examined]
  names = answers.class_names
  says = [
    f"{names[label[each]]} → {names[answers.labels[each]]} "
    f"({100 * answers.probabilities[each].max():.0f} %)"
    for each in found.errors
  ]
  which = "all" if len(says) == count.wrong else f"{len(says)} at random of the"
  words = (
    f"The {found.split} set: {which} {count.wrong:,} errors of {count.total:,} examples, each with "
    "its label, the answer and the answer's probability."
  )
  return prose(words) + gallery(found, found.errors, says)


def _suspects(found: RunDiagnosis) -> str:
  labels, label = found.diagnosis.labels, np.asarray(found.data["label"])
  if not len(labels.suspects):
    return prose(
      f"Confident learning (Northcutt, Jiang and Chuang 2021) suspects none of the {found.split} "
      "set's labels, as far as this network can tell."
    )
  about = (
    f"Confident learning (Northcutt, Jiang and Chuang 2021) takes {_percent(labels.share)} of the "
    f"labels of the {found.split} set for wrong, as far as this network can tell, which errs on "
    f"{_percent(found.diagnosis.counts[found.diagnosis.examined].share)} of it, and suspects "
    f"{len(labels.suspects):,} of them, the most suspicious one first: the label, what it may be, "
    "and the probability of both."
  )
  names, shown = found.answers.class_names, labels.suspects[:MOST_SUSPECTS]
  says = [
    f"{names[label[each]]} ({100 * found.answers.probabilities[each, label[each]]:.0f} %) → "
    f"{names[other]} ({100 * found.answers.probabilities[each, other]:.0f} %)"
    for each, other in zip(shown, labels.others, strict=False)
  ]
  left = len(labels.suspects) - len(shown)
  more = prose(f"{left} more are in `{FOLDER}/{SUSPECTS}`.") if left else ""
  return prose(about) + gallery(found, shown, says) + more


def _suspects_text(found: RunDiagnosis) -> str:
  """The suspected labels as CSV."""
  labels, label = found.diagnosis.labels, np.asarray(found.data["label"])
  file, names = io.StringIO(), found.answers.class_names
  writer = csv.writer(file, lineterminator="\n")
  writer.writerow(["example", "place", "label", "may_be", "p_label", "p_may_be"])
  for each, other in zip(labels.suspects.tolist(), labels.others.tolist(), strict=True):
    shares = [f"{found.answers.probabilities[each, k]:.4f}" for k in (label[each], other)]
    writer.writerow([each, found.places[each], names[label[each]], names[other], *shares])
  return file.getvalue()


def _slices(found: RunDiagnosis) -> str:
  slices = found.diagnosis.slices
  worse = [row for row in slices if row.is_worse]
  words = (
    f"{len(worse)} of {len(slices)} slices of the {found.split} set are worse than the rest of it "
    "by more than chance: Fisher's exact test, corrected for their number (Holm 1979), so that one "
    "is called worse by chance in at most 5 % of sets."
  )
  rows = [
    line(
      [
        row.name,
        _percent(row.counted.share),
        _ends(row.interval),
        f"{row.counted.wrong:,} of {row.counted.total:,}",
        _percent(row.rest),
        f"{row.p:.2g}",
      ],
      "first" if row.is_worse else "",
    )
    for row in slices[: max(MOST_SLICES, len(worse))]
  ]
  head = ("slice", "error", "95 %", "wrong", "error of the rest", "corrected p")
  return prose(words) + (table(head, rows) if rows else "")


def _pictures(found: RunDiagnosis) -> list[Picture]:
  """The errors of all sets, and where there are any the tags and the slices."""
  diagnosis, made = found.diagnosis, []
  known = Interval(diagnosis.human, diagnosis.human)
  counts = {name: (each.share, wilson(each)) for name, each in diagnosis.counts.items()}
  made.append(
    interval_rows(
      _hundredfold({HUMAN: (diagnosis.human, known), **counts}),
      title="Errors from human level to the last set",
      x="error (%)",
      number=".2f",
      caption="Each with its 95 % interval (Wilson 1927); the largest step down the rows is the "
      "gap to work on first.",
      file="errors",
    )
  )
  if len(found.curve) > 1:
    made.append(_curve_picture(found))
  error = diagnosis.counts[diagnosis.examined].share
  if diagnosis.tags:
    ceilings = {
      row.tag: (row.gain, Interval(row.low * error, row.high * error)) for row in diagnosis.tags
    }
    made.append(
      interval_rows(
        _hundredfold(ceilings),
        title="The most that curing each can bring",
        x="error taken away at most (points)",
        number=".2f",
        caption="Share of the errors with a tag times the error, with 95 % intervals of the share.",
        file="tags",
      )
    )
  slices = {row.name: (row.counted.share, row.interval) for row in diagnosis.slices[:MOST_SLICES]}
  if slices:
    made.append(
      interval_rows(
        _hundredfold(slices),
        title="Errors of slices",
        x="error (%)",
        level=100 * error,
        caption=f"The {found.split} set, the least probable slices first, with 95 % intervals; "
        "dashed: the error of the whole set.",
        file="slices",
      )
    )
  return made


def _hundredfold(
  rows: Mapping[str, tuple[float, Interval]],
) -> dict[str, tuple[float, float, float]]:
  return {
    name: (100 * share, 100 * ends.low, 100 * ends.high) for name, (share, ends) in rows.items()
  }
