"""Tables of features with a label, from CSV and Parquet files.

Columns of numbers are standardised with the mean and the deviation of the training part; a column
of texts becomes one number for each of its texts in the training file, 1 for the one that stands
there and else 0. A missing feature (an empty cell, NA, NaN, null, "?") is refused, a missing label
is an example without one.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from research.data.own_parts import Part, Read, which_parts
from research.errors import UserError

MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
MOST_TEXTS = 100  # of a column; more of them name the rows and tell nothing
DELIMITERS = (",", ";", "\t")


class Table(NamedTuple):
  """The cells of a file as texts.

  Attributes:
    path: of the file.
    columns: the cells of each column by its name, in the file's order.
    lines: the line of each row in the file, the first one 1; of a Parquet file the row's number.
  """

  path: Path
  columns: Mapping[str, Sequence[str]]
  lines: Sequence[int]

  def place(self, row: int) -> str:
    """The file and the line of a row, for messages."""
    return f"{self.path}: {'line' if self.path.suffix != '.parquet' else 'row'} {self.lines[row]}"


class Layout(NamedTuple):
  """The rule by which columns become features.

  Attributes:
    label: the column that is learned.
    features: by column, the texts that each become a feature; () for a column of numbers.
  """

  label: str
  features: Mapping[str, tuple[str, ...]]

  @property
  def is_number(self) -> np.ndarray:
    """Tells for each feature whether it is a column of numbers; bool [features]."""
    return np.array([not texts for texts in self.features.values() for _ in texts or ("",)], bool)


def files(path: Path, suffix: str) -> list[Path]:
  """The file, or of a folder train, and validation and test where they are there.

  Raises:
    UserError: where there is no such file in the folder.
  """
  return list(_parts(path, suffix).values())


def read(path: Path, option: str, suffix: str) -> Read:
  """Reads the parts of a table; the option names the label's column, by default the last one.

  Raises:
    UserError: naming the file, the line and the column.
  """
  return _read(path, option, suffix, _labels)


def read_numbers(path: Path, option: str, suffix: str) -> Read:
  """Reads the parts of a table whose label's column holds numbers, NaN where one is missing.

  Raises:
    UserError: as `read`; and for a text there.
  """
  return _read(path, option, suffix, _targets)


def _read(path: Path, option: str, suffix: str, labels: Callable[[Table, str], np.ndarray]) -> Read:
  tables = {part: read_table(file) for part, file in _parts(path, suffix).items()}
  layout = layout_of(tables["train"], option)
  parts = {
    part: Part(
      encode(layout, table),
      labels(table, layout.label),
      [table.place(row) for row in range(len(table.lines))],
    )
    for part, table in tables.items()
  }
  return Read(
    parts["train"], parts.get("validation"), parts.get("test"), is_scaled=layout.is_number
  )


def read_table(file: Path) -> Table:
  """Reads Parquet, or CSV (comma, semicolon or tab, UTF-8) whose first line names the columns.

  Raises:
    UserError: for a file that cannot be read, has no names or a line of another length.
  """
  if file.is_file() and not file.stat().st_size:
    raise UserError(f"{file} is empty")
  try:
    table = _parquet(file) if file.suffix == ".parquet" else _csv(file)
  except UnicodeDecodeError as error:
    raise UserError(f"{file} is not UTF-8 text ({error.reason} at byte {error.start})") from error
  except OSError as error:
    raise UserError(f"{file} cannot be read: {error}") from error
  if not table.lines:
    raise UserError(f"{file} holds no rows")
  return table


def layout_of(table: Table, label: str = "") -> Layout:
  """Tells columns of numbers from columns of texts, by the training part.

  Raises:
    UserError: for an unknown label, a column that mixes both, or one of too many texts.
  """
  names = list(table.columns)
  label = label or names[-1]
  if label not in names:
    raise UserError(f"{table.path} has no column {label!r}; there are {', '.join(names)}")
  if len(names) < 2:
    raise UserError(f"{table.path} has one column only; a label needs features beside it")
  return Layout(label, {name: _texts(table, name) for name in names if name != label})


def encode(layout: Layout, table: Table) -> Float32[np.ndarray, "row feature"]:
  """The features of a table's rows, not standardised yet; the label's column may be absent.

  Raises:
    UserError: for a missing column, a missing value, a text where numbers are due, and a text that
      the training part lacks.
  """
  features = []
  for name, texts in layout.features.items():
    if name not in table.columns:
      raise UserError(f"{table.path} lacks the column {name!r}")
    cells = table.columns[name]
    for row, cell in enumerate(cells):
      if _is_missing(cell):
        raise UserError(
          f"{table.place(row)}: {name} is missing ({cell!r}); fill it in or leave the row out"
        )
    features += [_flags(table, name, texts)] if texts else [_numbers(table, name)[:, None]]
  return np.concatenate(features, axis=1).astype(np.float32)


def _texts(table: Table, name: str) -> tuple[str, ...]:
  """The texts of a column in their order; () where it holds numbers."""
  cells = table.columns[name]
  first_text = next((row for row, cell in enumerate(cells) if not _is_blank_or_number(cell)), None)
  if first_text is None:
    return ()
  texts = sorted({cell for cell in cells if not _is_missing(cell)})
  if any(_number(cell) is not None for cell in texts):
    raise UserError(
      f"{table.place(first_text)}: {name} is {cells[first_text]!r}, and other rows have numbers "
      "there; mend it"
    )
  if len(texts) > MOST_TEXTS:
    raise UserError(
      f"{table.place(first_text)}: {name} holds {len(texts)} different texts, such as "
      f"{cells[first_text]!r}; leave the column out, or group them to {MOST_TEXTS} at most"
    )
  return tuple(texts)


def _flags(table: Table, name: str, texts: tuple[str, ...]) -> np.ndarray:
  index = {text: number for number, text in enumerate(texts)}
  for row, cell in enumerate(table.columns[name]):
    if cell not in index:
      raise UserError(
        f"{table.place(row)}: {name} is {cell!r}, which the training part has nowhere"
      )
  return np.eye(len(texts))[[index[cell] for cell in table.columns[name]]]


def _numbers(table: Table, name: str) -> np.ndarray:
  values = [_number(cell) for cell in table.columns[name]]
  for row, value in enumerate(values):
    if value is None or not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
      raise UserError(
        f"{table.place(row)}: {name} is {table.columns[name][row]!r}, and no finite number"
      )
  return np.array(values, float)


def _label_cells(table: Table, name: str) -> list[str]:
  """The cells of the label's column, "" for a missing one."""
  if name not in table.columns:
    raise UserError(f"{table.path} lacks the label's column {name!r}")
  return ["" if _is_missing(cell) else cell for cell in table.columns[name]]


def _targets(table: Table, name: str) -> np.ndarray:
  cells = _label_cells(table, name)
  for row, cell in enumerate(cells):
    number = _number(cell) if cell else 0.0
    if number is None or not abs(number) < float(np.finfo(np.float32).max):
      raise UserError(f"{table.place(row)}: {name} is {cell!r}, and no finite number to predict")
  return np.array([float(cell) if cell else np.nan for cell in cells])


def _labels(table: Table, name: str) -> np.ndarray:
  """Numbers with -1 for a missing one where all are numbers, else texts with "" for it."""
  cells = _label_cells(table, name)
  numbers = [_number(cell) for cell in cells if cell]
  if all(number is not None and math.isfinite(number) for number in numbers):
    return np.array([float(cell) if cell else -1 for cell in cells])
  return np.array(cells, str)


def _is_missing(cell: str) -> bool:
  return cell.lower() in MISSING


def _is_blank_or_number(cell: str) -> bool:
  return _is_missing(cell) or _number(cell) is not None


def _number(cell: str) -> float | None:
  try:
    return float(cell)
  except ValueError:
    return None


def _parts(path: Path, suffix: str) -> dict[str, Path]:
  if not path.is_dir():
    return {"train": path}
  found = which_parts({file.stem for file in path.glob(f"*{suffix}")})
  if not found:
    raise UserError(f"{path} holds no train{suffix}; give a file, or a folder with one")
  return {part: path / f"{name}{suffix}" for part, name in found.items()}


def _csv(file: Path) -> Table:
  with open(file, newline="", encoding="utf-8-sig") as opened:
    first = opened.readline()
    opened.seek(0)
    reader = csv.reader(opened, delimiter=max(DELIMITERS, key=first.count), strict=True)
    try:
      names = [name.strip() for name in next(reader, [])]
      _check_names(file, names)
      rows, lines = [], []
      for cells in reader:
        if not cells:  # a blank line
          continue
        if len(cells) != len(names):
          raise UserError(
            f"{file}: line {reader.line_num} has {len(cells)} cells, and line 1 names "
            f"{len(names)} columns"
          )
        rows.append([cell.strip() for cell in cells])
        lines.append(reader.line_num)
    except csv.Error as error:
      raise UserError(f"{file}: line {reader.line_num} is no CSV ({error})") from error
  columns = list(zip(*rows, strict=True)) or [()] * len(names)
  return Table(file, dict(zip(names, columns, strict=True)), lines)


def _check_names(file: Path, names: Sequence[str]) -> None:
  number = next((name for name in names if _number(name) is not None or not name), None)
  if number is not None:
    raise UserError(f"{file}: line 1 names the columns, and has {number!r} there; put names first")
  twice = next((name for name in names if names.count(name) > 1), None)
  if twice is not None:
    raise UserError(f"{file}: two columns are called {twice!r}; rename one")


def _parquet(file: Path) -> Table:
  import pyarrow
  from pyarrow import parquet  # takes a while to import

  try:
    found = parquet.read_table(file)
  except pyarrow.ArrowException as error:
    raise UserError(f"{file} is no Parquet file ({str(error).splitlines()[0]})") from error
  _check_names(file, found.column_names)
  columns = {}
  for name in found.column_names:
    cells = found.column(name).to_pylist()
    if any(isinstance(cell, (list, dict, bytes)) for cell in cells):
      raise UserError(f"{file}: column {name!r} holds lists, records or bytes; leave it out")
    columns[name] = ["" if cell is None else str(cell) for cell in cells]
  return Table(file, columns, range(1, found.num_rows + 1))
