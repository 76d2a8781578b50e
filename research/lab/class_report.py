"""Recall by class and the confusion matrix of a fit, for the report of a run with --metrics."""

import dataclasses

import numpy as np
from jaxtyping import Int

from research.figures.confusion import confusion_matrix
from research.learner import largest_outputs
from research.report import Report, Table
from research.set_metrics import confusion_counts
from research.training import Fit, on_device


def with_classes(report: Report, fit: Fit) -> Report:
  """The report with a table of recall by class on every evaluation set, and a matrix of the last.

  The answers are those of the fit's last state, as in the last row of its metrics.
  """
  counts = {split: _counts(fit, split) for split in fit.training.evaluate}
  classes = len(next(iter(counts.values())))
  names = fit.training.class_names or [str(number) for number in range(classes)]
  head = ["class", *(f"{split}: {what}" for split in counts for what in ("examples", "recall (%)"))]
  rows = [
    [name, *(cell for table in counts.values() for cell in _cells(table[number], number))]
    for number, name in enumerate(names)
  ]
  split, last = list(counts.items())[-1]
  matrix = confusion_matrix(
    last,
    title=f"The {split} set by class and answer",
    class_names=names,
    caption="Counts off the diagonal are mistakes.",
    file=f"classes_{split.replace(' ', '_')}",
  )
  return dataclasses.replace(
    report,
    pictures=[*report.pictures, matrix],
    tables=[*report.tables, Table("Recall by class", head, rows)],
  )


def _cells(answers: Int[np.ndarray, " classes"], label: int) -> tuple[str, str]:
  """The number of a class's examples, and the share of them that is found."""
  total = int(answers.sum())
  return f"{total:,}", f"{100 * answers[label] / total:.1f}" if total else "-"


def _counts(fit: Fit, split: str) -> Int[np.ndarray, "classes classes"]:
  """Counts by label and answer on one of the fit's evaluation sets."""
  training, config = fit.training, on_device(fit.config)
  outputs, classes = training.learner.outputs, training.learner.classes
  assert outputs and classes  # or --metrics had been refused
  data = training.evaluate[split]
  answers = largest_outputs(
    lambda batch: outputs(config, fit.state, batch), data, training.evaluation_batch_size
  )
  return confusion_counts(data["label"], answers, classes(fit.config)["label"])
