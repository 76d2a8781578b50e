"""Data sets of the user's own, by names such as folder:PATH.

  folder:PATH             images in a sub-folder for each class (`image_folders`)
  folder:PATH@32x48       the same at 32 pixels of height and 48 of width
  hf:PATH                 images that Hugging Face's datasets saved on disk (`hugging_face`)
  hf:PATH@label,32x32     the same with that feature as the label, at 32 by 32 pixels
  npz:PATH                arrays x_train, y_train, x_test, y_test and their like (`array_files`)
  idx:PATH                a folder of files named like MNIST's
  idx:PATH@transposed     the same with EMNIST's images, which lie on their side
  npy:PATH                a folder that `launch.py convert` has written (`npy_sets`)
  csv:PATH, parquet:PATH  a table whose last column is the label (`tables`)
  csv:PATH@COLUMN         the same with another column as the label

The classes are the distinct labels of the training part, in their order, so that labels that begin
at 1, that leave numbers out, or that are texts are understood. Examples without a label (-1 or an
empty text) are left out of all parts. Training examples come in an order drawn with seed 0, since
files are often sorted by class. Where there is no test part, a tenth of the training part is
the test part, at least one example, drawn class by class with seed 0, as for TFDS data sets. The
files of npy:PATH hold what these rules gave when they were written, and are mapped into memory.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from research.data import npy_sets, stratify
from research.data.own_parts import Part, Read, without_missing
from research.data.spec import Arrays, Spec, Splits
from research.errors import UserError

if TYPE_CHECKING:
  from research.data.tables import Layout

TEST_SHARE = 0.1


class Form(NamedTuple):
  """One way in which data lie on a disk.

  Attributes:
    files: all files of the set, in a fixed order; raises UserError where they cannot be one.
    read: the parts, from the path and what stands behind @; None for `npy_sets`.
  """

  files: Callable[[Path], list[Path]]
  read: Callable[[Path, str], Read] | None


def _forms() -> dict[str, Form]:
  # Pillow takes a while to import.
  from research.data import array_files, hugging_face, image_folders, tables

  return {
    "folder": Form(image_folders.files, image_folders.read),
    "hf": Form(hugging_face.files, hugging_face.read),
    "npz": Form(array_files.npz_files, array_files.read_npz),
    "idx": Form(array_files.idx_files, array_files.read_idx),
    "npy": Form(npy_sets.files, None),
    **{
      form: Form(
        functools.partial(tables.files, suffix=f".{form}"),
        functools.partial(tables.read, suffix=f".{form}"),
      )
      for form in TABLES
    },
  }


TABLES = ("csv", "parquet")
FORMS = ("folder", "hf", "npz", "idx", "npy", *TABLES)


def is_own(name: str) -> bool:
  """Tells whether a data set's name is one of the user's own files."""
  form, colon, path = name.partition(":")
  return form in FORMS and bool(colon and path)


def load(name: str) -> Splits:
  """Reads a set whole; parts that it lacks are empty, but for the test part.

  Raises:
    UserError: in one line that names the file, and the row where there are rows.
  """
  return _loaded(name).splits


def spec(name: str) -> Spec:
  """The facts of a set; reads it whole, as the files alone do not tell them.

  Raises:
    UserError: as `load`.
  """
  return _loaded(name).spec


def listed_images(name: str) -> tuple[Splits, Spec]:
  """A set folder:PATH with the images' files in place of the images, and its facts.

  Raises:
    UserError: as `load`, but for pixels that cannot be decoded.
  """
  from research.data import image_folders

  _, path, option = resolved(name)
  found, shape = image_folders.listed(path, option)
  splits, class_names = numbered(path, found)
  return splits, _spec_of(name, splits, shape, class_names)


def digests(name: str) -> dict[str, str]:
  """The SHA-256 of every file of a set, by its path below the set's.

  Raises:
    UserError: where a file cannot be read.
  """
  form, path, _ = resolved(name)
  return digests_of(path, _files(form, path))


def digests_of(path: Path, files: list[Path]) -> dict[str, str]:
  """The SHA-256 of files by their paths below the folder; of a single file, by its name.

  Raises:
    UserError: where a file cannot be read.
  """
  return _digests(path, _stamps(files))


def is_table(name: str) -> bool:
  """Tells whether a data set is a table, whose rows `rows_of` reads."""
  return is_own(name) and name.partition(":")[0] in TABLES


def rows_of(name: str, file: Path) -> tuple[np.ndarray, list[str]]:
  """Reads a file of rows as the features of a table's network, the label's column there or not.

  Returns:
    float32 [rows, features], by the columns, texts and scales of the training part; and the place
    of each row.

  Raises:
    UserError: naming the line and the column that do not fit.
  """
  from research.data import tables

  layout, table, loaded = _layout(name), tables.read_table(file), _loaded(name)
  places = [table.place(row) for row in range(len(table.lines))]
  return scaled(tables.encode(layout, table), loaded.shift, loaded.scale), places


def features_of(name: str) -> list[tuple[str, float, float]]:
  """The features of a table in their order: what each is, and its shift and its scale."""
  names = [
    f"{column}: 1 where it is {text!r}, else 0" if text else column
    for column, texts in _layout(name).features.items()
    for text in texts or ("",)
  ]
  loaded = _loaded(name)
  return list(zip(names, loaded.shift.tolist(), loaded.scale.tolist(), strict=True))


def _layout(name: str) -> "Layout":
  from research.data import tables

  form, path, option = resolved(name)
  return tables.layout_of(tables.read_table(form.files(path)[0]), option)


class _Loaded(NamedTuple):
  """A set with its facts; and the shift and the scale of a table's features."""

  splits: Splits
  spec: Spec
  shift: np.ndarray
  scale: np.ndarray


def _loaded(name: str) -> _Loaded:
  return _read(name, stamps(name))


def _files(form: Form, path: Path) -> list[Path]:
  try:
    return form.files(path)
  except OSError as error:  # a folder below that may not be read
    raise UserError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def resolved(name: str) -> tuple[Form, Path, str]:
  """The form, the path and the option of a name; an @ may be part of the path as well.

  Raises:
    UserError: where there is no such path.
  """
  form, _, text = name.partition(":")
  try:
    path, option = Path(text).expanduser(), ""
    if not path.exists() and "@" in text:
      start, _, option = text.rpartition("@")
      path = Path(start).expanduser()
    if not path.exists():
      raise UserError(f"{name}: there is no {path.absolute()}; give the path of your own data")
  except (OSError, RuntimeError) as error:  # no permission, too long a name, no such user
    raise UserError(f"{name} cannot be looked at: {error}; give another path") from error
  return _forms()[form], path, option


Stamps = tuple[tuple[str, int, int], ...]


def stamps(name: str) -> Stamps:
  """Path, size and time of change of each file of a set, by which one that was read is known again.

  Raises:
    UserError: where a file cannot be looked at.
  """
  form, path, _ = resolved(name)
  return _stamps(_files(form, path))


def _stamps(files: list[Path]) -> Stamps:
  try:
    stats = [file.stat() for file in files]
  except OSError as error:
    raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
  return tuple(
    (str(file), stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True)
  )


@functools.lru_cache(maxsize=4)
def _digests(path: Path, stamps: Stamps) -> dict[str, str]:
  found = {}
  for file, _, _ in stamps:
    try:
      with open(file, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
      raise UserError(f"{file} cannot be read: {error.strerror}") from error
    found[os.path.relpath(file, path) if path.is_dir() else path.name] = digest
  return found


@functools.lru_cache(maxsize=2)
def _read(name: str, stamps: Stamps) -> _Loaded:
  del stamps  # another one is another set
  form, path, option = resolved(name)
  if form.read is None:
    return _Loaded(*npy_sets.open_set(path, option), np.zeros(()), np.ones(()))
  found = form.read(path, option)
  splits, class_names = numbered(path, found)
  shift, scale = np.zeros(()), np.ones(())
  if found.is_scaled is not None:
    shift, scale = scaling(splits.train["image"], found.is_scaled)
    shifted = (part | {"image": scaled(part["image"], shift, scale)} for part in splits)
    splits = Splits(*shifted)
  spec = _spec_of(name, splits, splits.train["image"].shape[1:], class_names)
  return _Loaded(splits, spec, shift, scale)


def _spec_of(
  name: str, splits: Splits, shape: tuple[int, ...], class_names: tuple[str, ...]
) -> Spec:
  label = splits.train["label"]
  classes = len(np.unique(label))
  return Spec(name, shape, classes, len(label), len(splits.test["label"]), class_names)


def numbered(path: Path, read: Read) -> tuple[Splits, tuple[str, ...]]:
  """Numbers the labels and takes a test part where there is none; by the rules above.

  The names of the classes are () where they are the numbers themselves.

  Raises:
    UserError: for labels that are no classes, one class only, and too few examples.
  """
  parts = {"train": read.train, "validation": read.validation, "test": read.test}
  known = {part: labelled(path, each) for part, each in parts.items() if each}
  values = np.unique(known["train"].labels)
  if len(values) < 2:
    raise UserError(f"{path} holds one class only, {values[0]}; two are needed to tell apart")
  arrays: dict[str, Arrays] = {}
  for part, each in known.items():
    unknown = np.flatnonzero(~np.isin(each.labels, values))
    if len(unknown):
      raise UserError(
        f"{each.places[unknown[0]]}: label {each.labels[unknown[0]]} of the {part} part has no "
        "example in the training part"
      )
    labels = np.searchsorted(values, each.labels).astype(np.int32)
    arrays[part] = {"image": each.inputs, "label": labels}
    if each.inputs.shape[1:] != known["train"].inputs.shape[1:]:
      raise UserError(
        f"{path}: the {part} inputs have shape {each.inputs.shape[1:]}, those of the training part "
        f"{known['train'].inputs.shape[1:]}"
      )
  train, none = arrays["train"], {key: array[:0] for key, array in arrays["train"].items()}
  if "test" not in arrays:
    train, arrays["test"] = _with_test_part(path, train)
  order = stratify.shuffled_order(len(train["label"]), seed=0)
  train = {key: array[order] for key, array in train.items()}
  names = read.class_names or tuple(map(str, values))
  are_numbers = names == tuple(map(str, range(len(names))))
  splits = Splits(train, arrays.get("validation", none), arrays["test"])
  return splits, () if are_numbers else names


def scaling(inputs: np.ndarray, is_scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The (shift, scale) [features] that give these inputs mean 0 and deviation 1 where they should.

  A feature that never changes is shifted alone.
  """
  exact = inputs.astype(np.float64)
  deviation = exact.std(axis=0)
  shift = np.where(is_scaled, exact.mean(axis=0), 0)
  return shift, np.where(is_scaled & (deviation > 0), deviation, 1)


def scaled(inputs: np.ndarray, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
  """The features of rows as a network sees them; float32 [rows, features]."""
  return ((inputs - shift) / scale).astype(np.float32)


def labelled(path: Path, part: Part) -> Part:
  """The examples that have a label, all of them whole numbers or texts."""
  labels = part.labels
  if labels.dtype.kind == "f":
    fractions = np.flatnonzero(labels != np.rint(labels))  # NaN is one, too
    if len(fractions):
      raise UserError(
        f"{part.places[fractions[0]]}: {labels[fractions[0]]:g} is no class; labels are whole "
        "numbers or texts"
      )
    labels = labels.astype(np.int64)
  if labels.dtype.kind in "iu":
    has_label = labels != -1
    below = np.flatnonzero(labels.astype(np.int64) < -1)
    if len(below):
      raise UserError(f"{part.places[below[0]]}: label {labels[below[0]]} is below 0 (-1 is none)")
  elif labels.dtype.kind == "U":
    has_label = labels != ""
  elif labels.dtype.kind == "b":
    has_label = np.ones(len(labels), bool)
  else:
    raise UserError(f"{path}: labels of type {labels.dtype} are neither whole numbers nor texts")
  return without_missing(path, part._replace(labels=labels), has_label, "example", "label")


def _with_test_part(path: Path, train: Arrays) -> tuple[Arrays, Arrays]:
  count = max(1, round(TEST_SHARE * len(train["label"])))
  drawn = stratify.draw(train["label"], count, seed=0)
  left = {key: array[~drawn] for key, array in train.items()}
  if len(np.unique(left["label"])) < len(np.unique(train["label"])):
    raise UserError(
      f"{path} holds {len(drawn)} examples and no test part; a tenth is tested on, and a class "
      "has none left to learn from"
    )
  return left, {key: array[drawn] for key, array in train.items()}
