"""The tags of a classifier's errors: a CSV file that a person fills in, or a column of a table."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from research.analysis.diagnosis import Tags
from research.analysis.slices import by_value
from research.errors import UserError
from research.lab.prediction import Prediction
from research.store.files import write_atomically

HEAD = ("number", "example", "place", "label", "answer", "probability", "tags")
BETWEEN = ";"  # between two tags of an error
NO_TAG = "none"  # of an error that was looked at, and has nothing the matter


class Row(NamedTuple):
  """An error of the file.

  Attributes:
    line: of the file, for messages.
    example: its place in the examined set.
    label: the name of its class.
    answer: the name of the class that the network gave.
    tags: what is the matter with it.
  """

  line: int
  example: int
  label: str
  answer: str
  tags: Sequence[str]


def text(
  errors: Int[np.ndarray, " errors"],
  label: Int[np.ndarray, " examples"],
  answers: Prediction,
  places: Sequence[str],
) -> str:
  """The file to fill in, with a row for each of the errors, numbered as in the gallery."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator="\n")
  writer.writerow(HEAD)
  for number, each in enumerate(errors.tolist(), 1):
    answer, names = int(answers.labels[each]), answers.class_names
    share = f"{answers.probabilities[each, answer]:.4f}"
    writer.writerow([number, each, places[each], names[label[each]], names[answer], share, ""])
  return file.getvalue()


def write(path: Path, content: str) -> bool:
  """Writes the file, unless one that somebody began to fill in is there; tells which."""
  if path.exists():
    try:
      if any(row.tags for row in _rows(path)):
        return False
    except UserError:
      return False  # somebody's own
  write_atomically(path, content)
  return True


def read(path: Path) -> list[Row]:
  """The rows of a file that have tags; an error whose tag is "none" has an empty list of them.

  Raises:
    UserError: for a file that cannot be read, or has no tags yet.
  """
  rows = [row for row in _rows(path) if row.tags]
  if not rows:
    raise UserError(
      f"--tags={path} has no tags yet; fill in its last column, several divided by {BETWEEN!r}, "
      f"and {NO_TAG!r} where nothing is the matter"
    )
  twice = [row for n, row in enumerate(rows) if row.example in {each.example for each in rows[:n]}]
  if twice:
    raise UserError(f"{path}: line {twice[0].line}: example {twice[0].example} is there twice")
  return [row._replace(tags=[tag for tag in row.tags if tag != NO_TAG]) for row in rows]


def of_rows(
  path: Path, rows: Sequence[Row], label: Int[np.ndarray, " examples"], answers: Prediction
) -> Tags:
  """The tags by name, of the errors of a file that was written for these answers.

  Raises:
    UserError: where an example's label or answer is another one now.
  """
  names = answers.class_names
  for row in rows:
    is_there = 0 <= row.example < len(label)
    now = (names[label[row.example]], names[answers.labels[row.example]]) if is_there else ()
    if now != (row.label, row.answer):
      raise UserError(
        f"{path}: line {row.line}: example {row.example} is no error {row.label} → {row.answer} of "
        "this checkpoint; the file is of another run, seed or step"
      )
  tags = dict.fromkeys(tag for row in rows for tag in row.tags)
  return {tag: np.array([tag in row.tags for row in rows]) for tag in tags}


def of_column(
  name: str, columns: Mapping[str, np.ndarray], errors: Int[np.ndarray, " errors"]
) -> Tags:
  """The tags that a column of the run's table gives to all errors.

  Raises:
    UserError: where there is no such column.
  """
  if name not in columns:
    raise UserError(
      f"--tags={name} is neither a file that is there nor a column of the run's table"
      + (f" ({', '.join(columns)})" if columns else "; the run has learned from no table")
    )
  return {tag: has[errors] for tag, has in by_value(name, columns[name]).items()}


def _rows(path: Path) -> list[Row]:
  try:
    content = path.read_text("utf-8-sig")
  except UnicodeDecodeError as error:
    raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
  except OSError as error:
    raise UserError(f"{path} cannot be read: {error.strerror}") from error
  first = content.split("\n", 1)[0]
  delimiter = ";" if first.count(";") > first.count(",") else ","  # as some spreadsheets write
  reader = csv.DictReader(io.StringIO(content), delimiter=delimiter)
  lacks = {"example", "label", "answer", "tags"} - set(reader.fieldnames or ())
  if lacks:
    raise UserError(
      f"{path} lacks the column {sorted(lacks)[0]!r}; fill in the errors.csv of the run's diagnosis"
    )
  return [_row(path, reader.line_num, cells) for cells in reader]


def _row(path: Path, line: int, cells: Mapping[str, str | None]) -> Row:
  given = [cells[name] or "" for name in ("example", "label", "answer", "tags")]
  if not given[0].isascii() or not given[0].isdigit():
    raise UserError(f"{path}: line {line}: example {given[0]!r} is no whole number")
  tags = [tag.strip() for tag in given[3].split(BETWEEN)]
  return Row(line, int(given[0]), given[1], given[2], [tag for tag in tags if tag])
