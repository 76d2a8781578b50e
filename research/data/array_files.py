"""Images and labels in array files: NumPy's .npz, and IDX files as MNIST has them."""

import gzip
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from research.data import idx
from research.data.own_parts import Part, Read
from research.errors import UserError

INPUTS = ("image", "images", "x", "X", "data")
LABELS = ("label", "labels", "y", "Y", "target")
PREFIXES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
IDX_PARTS = {"train": "train", "test": "(?:t10k|test)"}
TRANSPOSED = "transposed"
MOST_BYTES = 2**32  # of an IDX file, so that a .gz that unpacks without end is refused


def npz_files(path: Path) -> list[Path]:
  """The file itself.

  Raises:
    UserError: where there is none.
  """
  if not path.is_file():
    raise UserError(f"{path} is not a file; give an .npz file")
  return [path]


def read_npz(path: Path, option: str) -> Read:
  """Reads the arrays "image" and "label" ("x" and "y"), alone or for each part.

  For a part they are called x_train, train_images, test_labels, y_val and the like. Images are
  [n, height, width] or [n, height, width, 1 or 3]; rows of features [n, features] are taken too.
  Unsigned integers are intensities; floats stay as they are.

  Raises:
    UserError: for a file that cannot be read, other names or other shapes.
  """
  if option:
    raise UserError(f"npz:...@{option}: nothing stands behind @ here; leave it out")
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except Exception as error:  # zip, zlib, header and pickle errors alike
    reason = "it is empty" if not path.stat().st_size else str(error).split("\n", maxsplit=1)[0]
    raise UserError(f"{path} is no .npz file of plain arrays ({reason})") from error
  parts = {part: _named(arrays, part) for part in PREFIXES}
  if parts["train"] is None:
    parts["train"] = _named(arrays, "")
  if parts["train"] is None:
    raise UserError(
      f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; name the arrays x_train and y_train "
      "with x_test and y_test, or image and label"
    )
  made = {part: _checked(path, *names, arrays) if names else None for part, names in parts.items()}
  if made["validation"] and not made["test"]:
    made["validation"], made["test"] = None, made["validation"]
  assert made["train"]
  return Read(made["train"], made["validation"], made["test"])


def _named(arrays: Mapping[str, np.ndarray], part: str) -> tuple[str, str] | None:
  """The names of a part's inputs and labels; "" is a set without parts."""

  def find(names: tuple[str, ...]) -> str | None:
    spelled = [
      spelling
      for name in names
      for prefix in PREFIXES.get(part, ("",))
      for spelling in ((f"{name}_{prefix}", f"{prefix}_{name}") if prefix else (name,))
    ]
    return next((each for each in spelled if each in arrays), None)

  inputs, labels = find(INPUTS), find(LABELS)
  return (inputs, labels) if inputs and labels else None


def _checked(path: Path, inputs: str, labels: str, arrays: Mapping[str, np.ndarray]) -> Part:
  x, y = arrays[inputs], arrays[labels]
  y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
  if (
    x.ndim not in (2, 3, 4)
    or (x.ndim == 4 and x.shape[3] not in (1, 3))
    or x.dtype.kind not in "buif"
  ):
    raise UserError(
      f"{path}: {inputs} is {x.dtype} {list(x.shape)}; give numbers [n, height, width], "
      "[n, height, width, 1 or 3] or [n, features]"
    )
  if y.ndim != 1 or len(x) != len(y):
    raise UserError(
      f"{path}: {labels} has shape {list(y.shape)}; give one label for each of the {len(x)} rows "
      f"of {inputs}"
    )
  places = [f"{path}: row {row} of {labels}" for row in range(len(y))]
  return Part(_intensities(x, path, inputs), y, places)


def _intensities(x: np.ndarray, path: Path, name: str) -> np.ndarray:
  """Inputs with a channel axis where they are images.

  Truth values and whole numbers from 0 to 255 or 65,535 become unsigned integers of 8 or 16 bits,
  other whole numbers floats; floats become float32.
  """
  if x.ndim == 3:
    x = x[..., None]
  if x.dtype.kind == "b":
    return x.astype(np.uint8) * np.uint8(255)
  if x.dtype.kind == "f":
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=tuple(range(1, x.ndim))))
    if len(wrong):
      raise UserError(f"{path}: row {wrong[0]} of {name} is not finite; mend it or leave it out")
    return x.astype(np.float32)
  if not x.size or x.min() < 0 or x.max() > np.iinfo(np.uint16).max:
    return x.astype(np.float32)
  return x.astype(np.uint8 if x.max() <= np.iinfo(np.uint8).max else np.uint16, copy=False)


def idx_files(path: Path) -> list[Path]:
  """The IDX files of the folder, raw or .gz, in the order in which `read_idx` takes them.

  Raises:
    UserError: where training images or labels are missing, or stand there twice.
  """
  return [file for pair in _idx_pairs(path).values() for file in pair]


def read_idx(path: Path, option: str) -> Read:
  """Reads a folder with files named like MNIST's: *train-images*, *train-labels*, *t10k-images*.

  "test" is as good as "t10k". The option "transposed" turns EMNIST's images, which lie on their
  side.

  Raises:
    UserError: for another option, missing files, and files that are no IDX files.
  """
  if option not in ("", TRANSPOSED):
    raise UserError(f"idx:...@{option} is unknown; behind @ stands {TRANSPOSED}, or nothing")
  parts = {}
  for part, (images, labels) in _idx_pairs(path).items():
    x, y = _idx_array(images), _idx_array(labels)
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
      raise UserError(
        f"{images} has shape {list(x.shape)} and {labels} {list(y.shape)}; give "
        "[n, height, width] and [n]"
      )
    x = (x.swapaxes(1, 2) if option else x)[..., None]
    places = [f"row {row} of {labels}" for row in range(len(y))]
    parts[part] = Part(np.ascontiguousarray(x), y.astype(np.int64), places)
  return Read(parts["train"], None, parts.get("test"))


def _idx_pairs(path: Path) -> dict[str, tuple[Path, Path]]:
  """The files of images and of labels, by part."""
  if not path.is_dir():
    raise UserError(f"{path} is not a folder; give one with *train-images*, *train-labels* files")
  pairs = {}
  for part, name in IDX_PARTS.items():
    found = []
    for kind in ("images", "labels"):
      shape = re.compile(rf"(?:.*-)?{name}-{kind}(?:[-.]idx[13]-ubyte)?(?:\.gz)?")
      files = sorted(file for file in path.iterdir() if shape.fullmatch(file.name))
      if len(files) > 1:
        raise UserError(f"{path} holds {files[0].name} and {files[1].name}; take one of them out")
      found += files
    if len(found) == 1 or (part == "train" and not found):
      raise UserError(
        f"{path} lacks *{part}-images* or *{part}-labels* (IDX files, raw or .gz; for the test "
        "part t10k-images and t10k-labels will do)"
      )
    if found:
      pairs[part] = (found[0], found[1])
  return pairs


def _idx_array(file: Path) -> np.ndarray:
  try:
    with open(file, "rb") as raw:
      opened = gzip.open(raw) if file.suffix == ".gz" else raw
      data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
      raise ValueError(f"it holds more than {MOST_BYTES:,} bytes")
    return idx.decode(data)
  except (OSError, EOFError, ValueError, zlib.error) as error:
    raise UserError(f"{file} cannot be read: {error}; put the whole file there") from error
