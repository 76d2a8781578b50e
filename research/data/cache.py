"""The cache folder: where it is, one process at a time, and nothing half-made that is believed."""

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from research.data.spec import Arrays
from research.errors import DiskFullError, UserError


@contextlib.contextmanager
def workshop(cache: Path, name: str) -> Iterator[Path]:
  """A scratch folder in the cache for making `name`, held by one process at a time.

  Others wait. The kernel frees the lock of a process that dies, and what it left behind is swept
  away by the next one. Raises UserError or DiskFullError when the cache cannot be written.
  """
  try:
    for part in ("locks", "scratch"):
      (cache / part).mkdir(parents=True, exist_ok=True)
    with open(cache / "locks" / f"{name}.lock", "w") as lock:
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        print(f"{name}: waiting for another process that prepares it", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
      for leftover in (cache / "scratch").glob(f"{name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
      scratch = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache / "scratch"))
      try:
        yield scratch
      finally:
        shutil.rmtree(scratch, ignore_errors=True)
  except OSError as error:
    way_out = "set LINEAGE_CACHE to a folder that can be written"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
      raise DiskFullError(
        f"{name}: the disk of the cache {cache} is full; free 200 MB or {way_out}"
      ) from error
    raise UserError(f"{name}: the cache {cache} cannot be used ({error}); {way_out}") from error


def made_once(
  home: Path,
  name: str,
  make: Callable[[Path], Arrays],
  is_right: Callable[[Arrays], bool] = lambda arrays: True,
) -> Arrays:
  """The arrays `name` of the cache, made by the first process that asks for them.

  Args:
    home: the cache folder.
    name: of the arrays.
    make: gives them, from a scratch folder on the same disk.
    is_right: tells whether those that are there are the ones that are meant.

  Raises:
    UserError, DiskFullError: where the cache cannot be written; and what `make` raises.
  """
  place = home / "arrays" / f"{name}.npz"
  held = right_arrays(place, is_right)
  if held is not None:
    return held
  with workshop(home, name) as scratch:
    held = right_arrays(place, is_right)  # another process may have made them meanwhile
    if held is None:
      held = make(scratch)
      publish_arrays(held, scratch, place)
  return held


def right_arrays(place: Path, is_right: Callable[[Arrays], bool]) -> Arrays | None:
  """The arrays in a file; None where there are none, or they are damaged or not right."""
  arrays = read_arrays(place)
  return arrays if arrays is not None and is_right(arrays) else None


def publish_folder(made: Path, place: Path) -> None:
  """Moves a finished folder to its place on the same disk; what lay there goes away with `made`.

  To be called within the workshop, whose scratch folder holds `made`.
  """
  place.parent.mkdir(parents=True, exist_ok=True)
  if place.exists():
    place.rename(made.with_name(f"{made.name}.replaced"))
  made.rename(place)


def publish_arrays(arrays: Arrays, scratch: Path, place: Path) -> None:
  """Writes the arrays as a plain .npz file that appears at once and whole."""
  made = scratch / place.name
  with open(made, "wb") as file:
    np.savez(file, **arrays)  # type: ignore[arg-type]
    file.flush()
    os.fsync(file.fileno())
  place.parent.mkdir(parents=True, exist_ok=True)
  made.replace(place)


def read_arrays(place: Path) -> Arrays | None:
  """The arrays of an .npz file, read only; None when it is absent or damaged.

  A .npz file is a zip file, which holds a CRC-32 of every array: NumPy checks it while reading, so
  the proof costs some 10 ms for MNIST. All members of a comparison ask for the same file, which is
  read again only when it has changed.
  """
  try:
    status = place.stat()
  except OSError:
    return None
  try:
    return dict(_read(place, status.st_mtime_ns, status.st_size))
  except Exception as error:  # whatever is wrong with it, it can be made again
    print(f"{place.stem}: {place} is damaged ({error}); making it again", file=sys.stderr)
    return None


@functools.lru_cache(maxsize=2)
def _read(place: Path, mtime_ns: int, size: int) -> Arrays:
  with np.load(place, allow_pickle=False) as file:
    arrays = {name: file[name] for name in file.files}
  for array in arrays.values():
    array.flags.writeable = False
  return arrays
