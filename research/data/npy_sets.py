"""Data sets as NumPy files that are mapped into memory, so that they may be larger than it.

  FOLDER/train_image.npy   and train_label.npy, test_image.npy, test_label.npy: [examples, ...];
                           validation_image.npy and validation_label.npy where there are any
  FOLDER/manifest.json     shape, type and CRC-32 of each, and the facts of the set

`research.data.conversion` writes such a folder. It is named npy:FOLDER, and is read once, to check
it, when a run begins.
"""

import functools
import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from research.data.spec import Arrays, Spec, Splits
from research.errors import UserError
from research.store.files import read_json

MANIFEST = "manifest.json"
PROGRESS = "progress.json"  # of a conversion that has not ended
PARTS = ("train", "validation", "test")
BLOCK = 2**26  # bytes that are read, checked or written at once
INTENSITIES = ("uint8", "uint16", "float32")


def files(path: Path) -> list[Path]:
  """The manifest, whose checksums stand for all other files.

  Raises:
    UserError: where there is none.
  """
  if not (path / MANIFEST).is_file():
    begun = (path / PROGRESS).is_file()
    way_out = (
      "its conversion did not end; give the same command again"
      if begun
      else f"make one by `launch.py convert --dataset=NAME --to={path}`"
    )
    raise UserError(f"{path} holds no {MANIFEST}: {way_out}")
  return [path / MANIFEST]


def open_set(path: Path, option: str) -> tuple[Splits, Spec]:
  """The arrays of a folder, mapped and read only, and its facts.

  Raises:
    UserError: in one line, for a file that is missing, cut off, changed or of another type, and
      for labels that are no classes of the set.
  """
  if option:
    raise UserError(f"npy:...@{option}: nothing stands behind @ here; leave it out")
  manifest = _manifest(files(path)[0])
  arrays: dict[str, Arrays] = {part: {} for part in PARTS}
  for name, about in manifest["files"].items():
    part, _, field = name.removesuffix(".npy").partition("_")
    arrays[part][field] = _mapped(path / name, about)
  for part in ("train", "test"):
    _check_part(path, part, arrays[part], manifest["classes"])
  if arrays["validation"]:
    _check_part(path, "validation", arrays["validation"], manifest["classes"])
  else:
    arrays["validation"] = {field: array[:0] for field, array in arrays["train"].items()}
  train, test = (len(next(iter(arrays[part].values()))) for part in ("train", "test"))
  shape, names = tuple(manifest["image_shape"]), tuple(manifest["class_names"])
  spec = Spec(f"npy:{path}", shape, manifest["classes"], train, test, names)
  return Splits(*(arrays[part] for part in PARTS)), spec


def manifest_text(facts: Mapping[str, Any]) -> str:
  """The text of a manifest: the facts, and a checksum of their own."""
  return json.dumps({**facts, "crc32": _own_checksum(facts)}, indent=2) + "\n"


def checksum(array: np.ndarray) -> int:
  """The CRC-32 of an array's bytes, without a copy of it; a mapped file is read once."""
  if isinstance(array, np.memmap) and array.filename and array.flags.c_contiguous:
    stat = os.stat(array.filename)
    if array.offset + array.nbytes == stat.st_size:  # the file's only array, whole
      return _checksum_of_file(str(array.filename), array.offset, stat.st_size, stat.st_mtime_ns)
  rows, crc = rows_at_once(array.shape, array.dtype), 0
  for first in range(0, len(array), rows):
    crc = zlib.crc32(np.ascontiguousarray(array[first : first + rows]).tobytes(), crc)
  return crc


class MappedRows:
  """Some examples of a mapped array, read when they are asked for.

  It stands for an array where examples are taken by number, slice or `take`, and becomes one by
  `numpy.asarray`.
  """

  def __init__(self, array: np.ndarray, rows: np.ndarray):
    """Reads nothing.

    Args:
      array: mapped.
      rows: numbers of its examples, in the order in which they stand here.
    """
    self._array, self._rows = array, rows
    self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype
    self.ndim, self.nbytes = array.ndim, math.prod(self.shape) * array.dtype.itemsize

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, index: Any) -> np.ndarray:
    return self._array[self._rows[index]]

  def take(self, indices: Any, axis: int = 0) -> np.ndarray:
    """The examples of these numbers, as `numpy.ndarray.take` gives them."""
    return self._array.take(self._rows[indices], axis)

  def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    return np.asarray(self._array[self._rows], dtype)

  def equals(self, other: "MappedRows") -> bool:
    """Tells whether both are the same examples of one array; reads neither."""
    return self._array is other._array and np.array_equal(self._rows, other._rows)


def chosen(array: np.ndarray, is_chosen: np.ndarray) -> np.ndarray:
  """Some examples, marked by a bool for each; of a large mapped array, as `MappedRows`."""
  if isinstance(array, np.memmap) and array.ndim > 1 and array.nbytes > BLOCK:
    return MappedRows(array, np.flatnonzero(is_chosen))  # type: ignore[return-value]
  return np.asarray(array)[is_chosen]


def rows_at_once(shape: tuple[int, ...], dtype: np.dtype) -> int:
  """The number of rows that make a block of some `BLOCK` bytes; at least one."""
  return max(1, BLOCK // max(1, math.prod(shape[1:]) * dtype.itemsize))


@functools.lru_cache(maxsize=64)
def _checksum_of_file(path: str, offset: int, size: int, mtime_ns: int) -> int:
  del size, mtime_ns  # another one is another file
  crc = 0
  with open(path, "rb") as file:
    file.seek(offset)
    while block := file.read(BLOCK):
      crc = zlib.crc32(block, crc)
  return crc


def _own_checksum(facts: Mapping[str, Any]) -> int:
  return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _manifest(file: Path) -> dict[str, Any]:
  facts = read_json(file)
  crc = facts.pop("crc32", None) if isinstance(facts, dict) else None
  if crc is None or crc != _own_checksum(facts):
    raise UserError(
      f"{file} is damaged or was changed; put it back, or convert the set into a new folder"
    )
  return facts


def _mapped(file: Path, about: Mapping[str, Any]) -> np.ndarray:
  """A file as an array whose bytes are read when they are asked for, after it was checked."""
  again = "put the whole file back, or convert the set into a new folder"
  try:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    size = file.stat().st_size
  except (OSError, ValueError, EOFError) as error:
    reason = "it is not there" if isinstance(error, FileNotFoundError) else "it is cut off or no "
    reason += "" if isinstance(error, FileNotFoundError) else f".npy file: {error}"
    raise UserError(f"{file} cannot be mapped ({reason}); {again}") from error
  held, wanted = (str(array.dtype), list(array.shape)), (about["dtype"], about["shape"])
  if held != wanted:
    raise UserError(
      f"{file} is {held[0]} {held[1]}, and its manifest says {wanted[0]} {wanted[1]}; {again}"
    )
  if not isinstance(array, np.memmap) or size != array.offset + array.nbytes:
    raise UserError(f"{file} has {size:,} bytes, which are not those of its array; {again}")
  if checksum(array) != about["crc32"]:
    raise UserError(f"{file} is damaged: its checksum is not the manifest's; {again}")
  return array


def _check_part(path: Path, part: str, arrays: Arrays, classes: int) -> None:
  """Refuses a part that nothing could learn from, however whole its files are."""
  lengths = {field: len(array) for field, array in arrays.items()}
  if not lengths or 0 in lengths.values() or len(set(lengths.values())) > 1:
    counts = ", ".join(f"{length:,} of {field}" for field, length in lengths.items()) or "nothing"
    raise UserError(f"{path}: the {part} part holds {counts}; each field needs as many, above 0")
  image, label = arrays.get("image"), arrays.get("label")
  if image is not None and image.dtype.name not in INTENSITIES:
    raise UserError(
      f"{path}/{part}_image.npy is {image.dtype}; images are {', '.join(INTENSITIES)}"
    )
  if label is None or not classes:
    return
  if label.dtype != np.int32 or label.ndim != 1:
    raise UserError(
      f"{path}/{part}_label.npy is {label.dtype} {list(label.shape)}; labels are int32 [examples]"
    )
  wrong = np.flatnonzero((label < 0) | (label >= classes))
  if len(wrong):
    raise UserError(
      f"{path}/{part}_label.npy: label {label[wrong[0]]} of example {wrong[0]} is none of the "
      f"set's {classes} classes, 0 to {classes - 1}"
    )
