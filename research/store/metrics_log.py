"""The metrics of a run: JSON lines, equal to the byte in equal runs, and TensorBoard events."""

import itertools
import json
import math
import os
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from research.errors import UserError
from research.store.tensorboard import EventFiles

Row = dict[str, Any]
LABELS = ("fit", "member", "repeat")


def read_rows(folder: Path, fit: str | None = None) -> list[Row]:
  """Returns the rows of metrics.jsonl, of one fit or of all; a torn last line is left out."""
  path = folder / "metrics.jsonl"
  if not path.exists():
    return []
  rows = itertools.takewhile(lambda row: row is not None, _rows_or_none(path))
  return [row for row in rows if row is not None and fit in (None, row["fit"])]


def read_timing(folder: Path) -> list[Row]:
  """Returns the rows of timing.jsonl; torn lines are left out."""
  path = folder / "timing.jsonl"
  return [row for row in _rows_or_none(path) if row is not None] if path.exists() else []


def _rows_or_none(path: Path) -> list[Row | None]:
  lines = path.read_bytes().splitlines()
  try:  # all at once, which is faster where thousands of runs are read
    rows = json.loads(b"[" + b",".join(lines) + b"]")
  except (ValueError, RecursionError):
    rows = []
  if len(rows) == len(lines):
    return [row if isinstance(row, dict) and "fit" in row else None for row in rows]
  return [_row_or_none(line) for line in lines]


def identity_of(row: Mapping[str, Any]) -> str:
  """Returns a row's owner: the fit's name, in a population also the member's and the repetition."""
  return "/".join(str(row[label]) for label in LABELS if label in row)


class MetricsLog:
  """Appends rows to metrics.jsonl, timing.jsonl and TensorBoard event files.

  The bytes up to `offset`, whose checksum is `checksum`, belong to the last checkpoint; what a
  killed run wrote behind them is cut off and written again. `events` are TensorBoard's files.
  """

  def __init__(self, folder: Path):
    self._folder = folder
    self._file: TextIO | None = None
    self._timing: TextIO | None = None
    self.events = EventFiles(folder)
    self.offset = self.checksum = 0

  def fits_behind(self, offset: int) -> set[str]:
    """Returns the fits whose rows `seek(offset)` would cut off, wholly or in part."""
    path = self._folder / "metrics.jsonl"
    lines = path.read_bytes()[offset:].splitlines() if path.exists() else []
    return {row["fit"] for row in map(_row_or_none, lines) if row}

  def check(self, offset: int, checksum: int) -> None:
    """Checks that the first `offset` bytes of metrics.jsonl are those of a checkpoint.

    Raises:
      UserError: when they are not.
    """
    path = self._folder / "metrics.jsonl"
    kept = path.read_bytes()[:offset] if path.exists() else b""
    if len(kept) < offset or zlib.crc32(kept) != checksum:
      raise UserError(
        f"{path} was {'shortened' if len(kept) < offset else 'changed'} since the checkpoint was "
        "made; put the file back, or start over with --fresh"
      )

  def seek(self, offset: int, checksum: int) -> None:
    """Cuts metrics.jsonl at `offset` bytes and goes on from there.

    Raises:
      UserError: when the bytes before are not those of the checkpoint.
    """
    self.check(offset, checksum)
    self.close()
    self._file = open(self._folder / "metrics.jsonl", "a")
    self._file.truncate(offset)
    self._timing = _opened_after_last_whole_line(self._folder / "timing.jsonl")
    self.offset, self.checksum = offset, checksum
    self._replay()

  def append(self, row: Row, timing: dict[str, Any]) -> None:
    """Adds a row; its `timing`, in which equal runs differ, goes to timing.jsonl."""
    assert self._file and self._timing, "seek first"
    clean = {name: _finite_or_none(value) for name, value in row.items()}
    line = json.dumps(clean) + "\n"
    self._file.write(line)
    self._file.flush()
    self.offset += len(line.encode())
    self.checksum = zlib.crc32(line.encode(), self.checksum)
    timing = {"fit": row["fit"], "step": row["step"], **timing, "at": time.time()}
    self._timing.write(json.dumps(timing) + "\n")
    self._timing.flush()
    self._show(clean)

  def sync(self) -> int:
    """Forces the rows to the disk; returns the offset that a checkpoint may rely on."""
    assert self._file, "seek first"
    os.fsync(self._file.fileno())
    return self.offset

  def close(self) -> None:
    """Closes all files."""
    with ExitStack() as stack:  # closes all, even where one has no space for its last bytes
      for file in (self._file, self._timing, self.events):
        if file is not None:
          stack.callback(file.close)
      self._file = self._timing = None

  def _replay(self) -> None:
    self.events.remove()
    for row in read_rows(self._folder):
      self._show(row)

  def _show(self, row: Row) -> None:
    metrics = {name: value for name, value in row.items() if name not in (*LABELS, "step")}
    self.events.show(identity_of(row), row["step"], metrics)


def _row_or_none(line: bytes) -> Row | None:
  try:
    row = json.loads(line)
  except (ValueError, RecursionError):
    return None
  return row if isinstance(row, dict) and "fit" in row else None


def _opened_after_last_whole_line(path: Path) -> TextIO:
  """Opens a file of lines to append to; a line that a killed process left torn is cut off."""
  whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
  file = open(path, "a")
  file.truncate(whole)
  return file


def _finite_or_none(value: Any) -> Any:
  return None if isinstance(value, float) and not math.isfinite(value) else value
