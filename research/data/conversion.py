"""The conversion of a data set into the mapped files of `research.data.npy_sets`.

Arrays are written a block after the other, and what is written is noted after each: a conversion
that was killed goes on from there.
"""

import contextlib
import errno
import fcntl
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from research.data import image_files, own, sets
from research.data.npy_sets import MANIFEST, PARTS, PROGRESS, manifest_text, open_set, rows_at_once
from research.data.spec import Spec
from research.errors import DiskFullError, UserError
from research.free_memory import in_words
from research.store.files import read_json, write_atomically, write_json
from research.store.progress import Line

LOCK = ".lock"


class Rows(NamedTuple):
  """An array that is made a part at a time.

  Attributes:
    shape: of the whole, with the examples along the first axis.
    dtype: of its numbers.
    read: gives the examples from the first number up to the second.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[int, int], np.ndarray]

  @property
  def nbytes(self) -> int:
    """Bytes of the whole array."""
    return math.prod(self.shape) * self.dtype.itemsize


def convert(name: str, folder: Path) -> Spec:
  """Writes a data set into a folder, or the rest of it; returns its facts.

  Args:
    name: any that `research.data.sets.load` knows. Examples without a label (-1) are left out.
    folder: is made; what an interrupted conversion of the same data left there is gone on with.

  Raises:
    UserError: where the folder holds anything else, or another process writes it.
    DiskFullError: where the disk has no room for it.
    What `research.data.sets.load` raises.
  """
  are_files = name.startswith("folder:")  # which may hold more than fits into memory
  splits, spec = own.listed_images(name) if are_files else (sets.load(name), sets.spec(name))
  arrays = {
    f"{part}_{field}": _decoded(rows, spec.image_shape) if rows.dtype == object else rows
    for part, data in zip(PARTS, splits, strict=True)
    for field, rows in _labelled(data).items()
    if rows.shape[0]
  }
  return write(folder, name, spec, arrays, sets.digests(name))


def write(
  folder: Path,
  source: str,
  spec: Spec,
  arrays: Mapping[str, Rows],
  digests: Mapping[str, str] | None = None,
) -> Spec:
  """Writes arrays into a folder that npy:FOLDER opens, or the rest of them; returns its facts.

  Args:
    folder: is made.
    source: where they come from, in a word.
    spec: of the set; its name and sizes are not used.
    arrays: by part and field, as in "train_image" and "train_label".
    digests: of the files that they come from, by which a change between two tries is noticed.

  Raises:
    UserError, DiskFullError: as `convert`.
  """
  facts = {
    "source": source,
    "digests": dict(digests or {}),
    "image_shape": list(spec.image_shape),
    "classes": spec.classes,
    "class_names": list(spec.class_names),
  }
  forms = {
    f"{name}.npy": {"dtype": str(rows.dtype), "shape": list(rows.shape)}
    for name, rows in arrays.items()
  }
  with _owned(folder), _one_line(folder):
    held = read_json(folder / MANIFEST)
    if held is None:
      _write_rest(folder, facts, forms, arrays)
    elif any(held.get(key) != value for key, value in facts.items()):
      raise UserError(
        f"--to={folder} holds a set that was made of {held.get('source')} as it was then, and not "
        f"of this {source}; remove it, or give another folder"
      )
    return open_set(folder, "")[1]


def _write_rest(
  folder: Path, facts: dict[str, Any], forms: dict[str, Any], arrays: Mapping[str, Rows]
) -> None:
  asked = facts | {"forms": forms}
  noted = read_json(folder / PROGRESS)
  kept = set() if noted is None else {*forms, PROGRESS}
  others = [each.name for each in folder.iterdir() if each.name not in kept]
  others = [name for name in others if not name.startswith(".")]
  noted = noted or {"asked": asked, "done": {}}
  if noted["asked"] != asked or others:
    what = others[0] if others else "the beginning of another conversion"
    raise UserError(f"--to={folder} holds {what}; give a new folder, or an empty one")
  done = noted["done"]
  total = sum(rows.nbytes for rows in arrays.values())
  left = total - sum(_size(folder / name) for name in forms)
  free = shutil.disk_usage(folder).free
  if left > free:
    raise DiskFullError(
      f"--to={folder} would take {in_words(left)} more, and {in_words(free)} are free there; make "
      "room, or give a folder on another disk"
    )
  write_json(folder / PROGRESS, {"asked": asked, "done": done})  # the files are ours from here on
  line, written = Line(), 0
  for name, rows in arrays.items():
    file = f"{name}.npy"
    for last, crc in _written(folder / file, rows, *done.get(file, (0, 0))):
      done[file] = [last, crc]
      write_json(folder / PROGRESS, {"asked": asked, "done": done})
      if line.is_due():
        so_far = written + rows.nbytes * last // max(1, rows.shape[0])
        line.show(f"{folder}: {in_words(so_far)} of {in_words(total)}")
    written += rows.nbytes
  line.finish()
  files = {file: forms[file] | {"crc32": done[file][1]} for file in forms}
  write_atomically(folder / MANIFEST, manifest_text(facts | {"files": files}))
  (folder / PROGRESS).unlink()


def _written(path: Path, rows: Rows, first: int, crc: int) -> Iterator[tuple[int, int]]:
  """Writes an array from an example on; gives what is on the disk, with its checksum, so far."""
  count, step = rows.shape[0], rows_at_once(rows.shape, rows.dtype)
  if _size(path) < first * (rows.nbytes // count):  # lost since it was noted
    first, crc = 0, 0
  with open(path, "r+b" if first else "wb") as file:
    _write_header(file, rows)
    file.truncate(file.tell() + first * (rows.nbytes // count))
    file.seek(0, os.SEEK_END)
    for begin in range(first, count, step):
      end = min(begin + step, count)
      block = np.ascontiguousarray(rows.read(begin, end), rows.dtype).tobytes()
      crc = zlib.crc32(block, crc)
      file.write(block)
      file.flush()
      os.fsync(file.fileno())
      yield end, crc


def _write_header(file: IO[bytes], rows: Rows) -> None:
  descr = np.lib.format.dtype_to_descr(rows.dtype)
  np.lib.format.write_array_header_1_0(
    file, {"descr": descr, "fortran_order": False, "shape": rows.shape}
  )


def _labelled(data: Mapping[str, np.ndarray]) -> dict[str, Rows]:
  """The arrays of a part without the examples whose label is -1."""
  label = data.get("label")
  has_missing = label is not None and label.ndim == 1 and bool((label == -1).any())
  kept = np.flatnonzero(label != -1) if has_missing else None
  return {field: _rows_of(array, kept) for field, array in data.items()}


def _decoded(files: Rows, shape: tuple[int, ...]) -> Rows:
  """The images in files, decoded when a block of them is asked for."""
  height, width, channels = shape
  read = lambda first, last: image_files.read_images(
    list(files.read(first, last)), (height, width, channels)
  )
  return Rows((*files.shape, *shape), np.dtype(np.uint8), read)


def _rows_of(array: np.ndarray, kept: np.ndarray | None) -> Rows:
  if kept is None:
    return Rows(array.shape, array.dtype, lambda first, last: array[first:last])
  return Rows(
    (len(kept), *array.shape[1:]), array.dtype, lambda first, last: array[kept[first:last]]
  )


def _size(file: Path) -> int:
  return file.stat().st_size if file.exists() else 0


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
  """A folder that no other process writes, made if need be; an empty one is removed again."""
  is_new = not folder.exists()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / LOCK, "w")
  except OSError as error:
    raise UserError(f"--to={folder} cannot be written: {error.strerror}") from error
  try:
    with lock:
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        raise UserError(f"--to={folder} is being written by another process") from None
      yield
      (folder / LOCK).unlink(missing_ok=True)
  except UserError:
    if is_new and [each.name for each in folder.iterdir()] == [LOCK]:
      (folder / LOCK).unlink()
      folder.rmdir()
    raise


@contextlib.contextmanager
def _one_line(folder: Path) -> Iterator[None]:
  """Turns what the disk refuses into one line."""
  try:
    yield
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
      raise UserError(f"--to={folder} cannot be written: {error.strerror}") from error
    raise DiskFullError(
      f"the disk is full: {folder} cannot be written; what is there stays, so make room and give "
      "the same command again"
    ) from error
