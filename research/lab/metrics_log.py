"""The metrics of a run: JSON lines that two equal runs have in common to the byte, and TensorBoard."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, TextIO

from research.errors import UserError

Row = dict[str, Any]


def read_rows(folder: Path, fit: str | None = None) -> list[Row]:
  """The rows of metrics.jsonl, of one fit or of all; a torn last line is left out."""
  path = folder / "metrics.jsonl"
  if not path.exists():
    return []
  rows = []
  for line in path.read_text().splitlines():
    try:
      row = json.loads(line)
    except ValueError:
      break
    if fit is None or row["fit"] == fit:
      rows.append(row)
  return rows


class MetricsLog:
  """Appends rows to metrics.jsonl, timing.jsonl and TensorBoard event files.

  The bytes up to `offset` belong to the last checkpoint; what a killed run wrote behind them is
  cut off and written again.
  """

  def __init__(self, folder: Path):
    self._folder = folder
    self._file: TextIO | None = None
    self._timing: TextIO | None = None
    self._tensorboard: Any = None
    self.offset = 0

  def seek(self, offset: int) -> None:
    """Cuts metrics.jsonl at `offset` bytes and goes on from there.

    Raises:
      UserError: when the file is shorter than the checkpoint says.
    """
    path = self._folder / "metrics.jsonl"
    size = path.stat().st_size if path.exists() else 0
    if size < offset:
      raise UserError(
        f"{path} has {size} bytes, and the checkpoint was made at {offset}: lines are missing; "
        "put the file back, or start over with --fresh"
      )
    self.close()
    self._file = open(path, "a")
    self._file.truncate(offset)
    self._timing = open(self._folder / "timing.jsonl", "a")
    self.offset = offset
    self._replay_in_tensorboard()

  def append(self, row: Row, seconds: float) -> None:
    """Adds a row; `seconds` of work behind it go to timing.jsonl, since equal runs differ in them."""
    assert self._file and self._timing, "seek first"
    clean = {name: _finite_or_none(value) for name, value in row.items()}
    line = json.dumps(clean) + "\n"
    self._file.write(line)
    self._file.flush()
    self.offset += len(line.encode())
    timing = {"fit": row["fit"], "step": row["step"], "seconds": seconds, "at": time.time()}
    self._timing.write(json.dumps(timing) + "\n")
    self._timing.flush()
    self._show_in_tensorboard(clean)

  def sync(self) -> int:
    """Forces the rows to the disk; returns the offset that a checkpoint may rely on."""
    assert self._file, "seek first"
    os.fsync(self._file.fileno())
    return self.offset

  def close(self) -> None:
    """Closes all files."""
    for file in (self._file, self._timing, self._tensorboard):
      if file is not None:
        file.close()
    self._file = self._timing = self._tensorboard = None

  def _replay_in_tensorboard(self) -> None:
    for old in self._folder.glob("events.out.tfevents.*"):
      old.unlink()
    for row in read_rows(self._folder):
      self._show_in_tensorboard(row)

  def _show_in_tensorboard(self, row: Row) -> None:
    if self._tensorboard is None:
      from tensorboardX import SummaryWriter

      self._tensorboard = SummaryWriter(str(self._folder), write_to_disk=True)
    for name, value in row.items():
      if name not in ("fit", "step") and value is not None:
        self._tensorboard.add_scalar(f"{row['fit']}/{name}", value, row["step"])


def _finite_or_none(value: Any) -> Any:
  return None if isinstance(value, float) and not math.isfinite(value) else value
