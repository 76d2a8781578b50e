"""Frees the disk of what finished runs no longer need: checkpoints, and blocks of remote sweeps.

Claims, metrics, figures and the report stay, and so does everything of a run that is not finished.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from research.lab.run_folder import Lock
from research.lab.run_index import Record
from research.lab.run_results import CHECKSUMS
from research.store import checkpoint
from research.store.files import read_json, write_json

FREED = ".freed"  # what is being removed lies here, so that no half of it is ever read


class Removable(NamedTuple):
  """Something of a finished run that may go.

  Attributes:
    folder: of the run.
    paths: of what may go, all inside of the folder.
    size: in bytes.
  """

  folder: Path
  paths: Sequence[Path]
  size: int


def removable(records: Sequence[Record], before: float, *, keep_best: bool) -> list[Removable]:
  """Finds what may go of the finished runs among these.

  Args:
    records: of all runs, also of those that need the weights of others to begin with.
    before: the time, in seconds since 1970, until which a run must have finished.
    keep_best: whether the best checkpoint of every fit stays.
  """
  needed = {
    os.path.realpath(str(record.identity.config["--init_from"]))
    for record in records
    if record.state != "finished" and record.identity and "--init_from" in record.identity.config
  }
  found = []
  for record in records:
    if record.state != "finished" or os.path.realpath(record.folder) in needed:
      continue
    if (record.folder / "claims.json").stat().st_mtime > before:
      continue
    paths = list(_paths(record.folder, keep_best))
    if paths:
      found.append(Removable(record.folder, paths, sum(map(_size, paths))))
  return found


def free(one: Removable) -> None:
  """Removes it, unless a process owns the run by now.

  Killed in between, it leaves a run whose list of files is true, and the rest to the next call.

  Raises:
    UserError: where another process owns the run; nothing is touched then.
    OSError: where something cannot be removed.
  """
  lock = Lock(one.folder)
  try:
    gone = set(one.paths)
    fits = [path for path in (one.folder / "checkpoints").glob("*") if path.is_dir()]
    lost = {
      f"checkpoints/{fit.name}"
      for fit in fits
      if not any(path.name.isdigit() and path not in gone for path in fit.iterdir())
    }
    held = read_json(one.folder / CHECKSUMS)
    if isinstance(held, dict) and lost & held.keys():
      left = {name: value for name, value in held.items() if name not in lost}
      write_json(one.folder / CHECKSUMS, left)
    (one.folder / FREED).mkdir(exist_ok=True)
    for number, path in enumerate(path for path in one.paths if path.name != FREED):
      os.rename(path, one.folder / FREED / f"{os.getpid()}.{number}")
    shutil.rmtree(one.folder / FREED)
    for folder in (*fits, one.folder / "checkpoints"):
      with contextlib.suppress(OSError):  # not empty, or not there
        folder.rmdir()
  finally:
    lock.release()


def _paths(folder: Path, keep_best: bool) -> Iterator[Path]:
  """Lists what may go; links are left alone, for they lead elsewhere."""
  is_own = lambda path: path.is_dir() and not path.is_symlink()
  yield from filter(is_own, (folder / FREED, folder / "blocks"))
  if not is_own(folder / "checkpoints"):
    return
  for fit in sorted(filter(is_own, (folder / "checkpoints").iterdir())):
    best = str(checkpoint.best_step(fit)) if keep_best else None
    yield from (path for path in sorted(fit.iterdir()) if is_own(path) and path.name != best)


def _size(folder: Path) -> int:
  total = 0
  for path, _, files in os.walk(folder):
    for name in files:
      with contextlib.suppress(OSError):
        total += os.lstat(os.path.join(path, name)).st_size
  return total
