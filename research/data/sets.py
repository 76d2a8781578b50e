"""Every data set by its name: its facts as `spec(name)`, its NumPy arrays as `load(name)`.

Names: digits, mnist, fashion_mnist; cifar10, cifar100, svhn and emnist_SPLIT, whose large archives
users mostly have (`research.data.archive_sets`); tfds:NAME or tfds:NAME/CONFIG for any TFDS data
set that lies prepared in array_record files; and folder:PATH and its like for files of the user's
own (`research.data.own`). Importing this module imports NumPy and nothing heavier.
"""

import difflib
import math
import numbers
import re
from pathlib import Path

import numpy as np

from research.data import archive_sets, digits, own, prepared, sources, stratify
from research.data.archive_sets import ARCHIVE_SETS
from research.data.idx_sets import IDX_SETS
from research.data.spec import Arrays, Spec, Splits
from research.errors import UserError

__all__ = [
  "OWN",
  "OWN_IMAGES",
  "OWN_TABLES",
  "Arrays",
  "Spec",
  "Splits",
  "digests",
  "load",
  "names",
  "spec",
]

TFDS_PREFIX = "tfds:"
# Forms of names, for a field's choices, of images and tables that users bring themselves.
OWN_IMAGES = (
  *("folder:PATH", "hf:PATH", "npz:PATH", "idx:PATH", "npy:PATH", "tfds:NAME"),
  *ARCHIVE_SETS,
)
OWN_TABLES = ("csv:PATH", "parquet:PATH")
OWN = (*OWN_IMAGES, *OWN_TABLES)  # for networks that take any inputs


def names() -> list[str]:
  """The names that need no preparation by the user."""
  return sorted([digits.SPEC.name, *IDX_SETS])


def spec(name: str, *, data_dir: str | None = None) -> Spec:
  """The facts of a data set, without loading it.

  Only tfds:NAME looks at a disk, at its metadata in the TFDS folder `data_dir`, and may so raise
  DataUnavailableError; and the user's own files are read whole. Raises UserError for an unknown
  name, and for such files that are not as they should be.
  """
  _check_known(name)
  if own.is_own(name):
    return own.spec(name)
  data_dir = _existing_folder(data_dir)
  if name.startswith(TFDS_PREFIX):
    from research.data import tfds_arrays

    plain = name.removeprefix(TFDS_PREFIX)
    return tfds_arrays.spec(plain, data_dir or _named_tfds_folder(plain))
  published = {digits.SPEC.name: digits.SPEC} | {
    known: each.spec for known, each in (IDX_SETS | ARCHIVE_SETS).items()
  }
  return published[name]


def load(
  name: str, *, validation: int | float = 0, seed: int = 0, data_dir: str | None = None
) -> Splits:
  """Loads a data set, and takes a validation set from its training set.

  Args:
    name: see the top of this module.
    validation: how many training examples to set aside, a count (int) or a fraction (float).
      They are drawn class by class, and what they are depends on nothing but `seed`; both parts
      keep the order of the original. A TFDS set that has splits "validation" and "test" gives its
      own validation split instead, whole; so does a set of the user's own files, asked or not.
    seed: 0 or more.
    data_dir: the folder of the published files (asked before any host; not needed once they are
      prepared), the TFDS folder for tfds:NAME; by default that of --data_dir, or of the
      environment's LINEAGE_DATA_DIR (`sources.own_folder`).

  Returns:
    Splits of {"image": uint8 [n, h, w, c], "label": int32 [n]}; a TFDS data set gives all its
    features that make arrays, by their own names, and for a test split that it lacks its
    validation split, or else a tenth of the training split (`tfds_arrays.Parts`).

  Raises:
    UserError: an unknown name or an impossible argument.
    DataUnavailableError: no source of the data can be reached.
  """
  _check_known(name)
  _check_arguments(validation, seed)
  data_dir = _existing_folder(data_dir)
  if own.is_own(name):
    train, held_out, test = own.load(name)
    if len(held_out["label"]):
      return Splits(train, held_out, test)
  elif name.startswith(TFDS_PREFIX):
    from research.data import tfds_arrays

    plain = name.removeprefix(TFDS_PREFIX)
    train, held_out, test = tfds_arrays.load(plain, data_dir or _named_tfds_folder(plain))
    if held_out and validation:
      return Splits(train, held_out, test)
  elif name == digits.SPEC.name:
    train, test = digits.load()
  elif name in ARCHIVE_SETS:
    train, test = archive_sets.load(name, data_dir)
  else:
    train, test = prepared.load(IDX_SETS[name], data_dir)
  return Splits(*_hold_out(name, train, validation, seed), test)


def digests(name: str) -> dict[str, str]:
  """The SHA-256 of each file of a data set that may change under its name; {} for the others.

  Raises UserError where a file cannot be read, DataUnavailableError for a TFDS set that is not
  prepared.
  """
  if own.is_own(name):
    return own.digests(name)
  if not name.startswith(TFDS_PREFIX):
    return {}
  from research.data import tfds_arrays

  plain = name.removeprefix(TFDS_PREFIX)
  folder = Path(tfds_arrays.open_builder(plain, _named_tfds_folder(plain)).data_dir)
  return own.digests_of(folder, sorted(file for file in folder.rglob("*") if file.is_file()))


def _hold_out(
  name: str, train: Arrays, validation: int | float, seed: int
) -> tuple[Arrays, Arrays]:
  """(what remains of the training set, the validation set)."""
  n = len(next(iter(train.values()), ()))
  count = validation if isinstance(validation, numbers.Integral) else round(validation * n)
  if count == 0:
    return train, {key: array[:0] for key, array in train.items()}
  if count >= n:
    raise UserError(f"validation={validation} leaves none of the {n} training examples of {name}")
  labels = train.get("label")
  if labels is None or labels.ndim != 1:
    labels = np.zeros(n, np.int32)  # one class: a plain random draw
  drawn = stratify.draw(labels, int(count), seed)
  return (
    {key: array[~drawn] for key, array in train.items()},
    {key: array[drawn] for key, array in train.items()},
  )


def _check_known(name: str) -> None:
  known = [*names(), *ARCHIVE_SETS]
  if name in known or (name.startswith(TFDS_PREFIX) and name != TFDS_PREFIX):
    return
  if own.is_own(name):
    return
  near = difflib.get_close_matches(name.lower().replace("-", "_"), known, cutoff=0.5)
  guess = f"did you mean {' or '.join(near)}? " if near else ""
  raise UserError(
    f"data set {name!r} is unknown; {guess}There are {', '.join(known)}, "
    "tfds:NAME for any prepared TFDS data set, and for your own files "
    f"{', '.join(f'{form}:PATH' for form in own.FORMS)}"
  )


def _check_arguments(validation: int | float, seed: int) -> None:
  if isinstance(validation, numbers.Integral):
    possible = validation >= 0 and not isinstance(validation, bool)
  else:
    possible = math.isfinite(validation) and 0 <= validation < 1
  if not possible:
    raise UserError(f"validation={validation} must be a count, or a fraction from 0.0 up to 1.0")
  if seed < 0:
    raise UserError(f"seed={seed} must be 0 or more")


def _existing_folder(data_dir: str | None) -> str | None:
  if data_dir is None:
    return None
  folder = Path(data_dir).expanduser()
  if not folder.is_dir():
    raise UserError(f"data_dir={data_dir} is not a folder")
  return str(folder)


def _named_tfds_folder(name: str) -> str | None:
  """The user's folder where it is a TFDS folder with such a set; None is TFDS's own folder."""
  folder = sources.own_folder()
  return str(folder) if folder and (folder / re.split("[/:]", name)[0]).is_dir() else None
