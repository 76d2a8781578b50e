"""Every data set by its name: `spec(name)` without loading it, `load(name)` as NumPy arrays.

Names: digits, mnist, fashion_mnist, and tfds:NAME or tfds:NAME/CONFIG for any TFDS data set that
lies prepared in array_record files. Importing this module imports NumPy and nothing heavier.
"""

import difflib
import math
import numbers
import re
from pathlib import Path

import numpy as np

from research.data import digits, prepared, sources, stratify
from research.data.idx_sets import IDX_SETS
from research.data.spec import Arrays, Spec, Splits
from research.errors import UserError

__all__ = ["Arrays", "Spec", "Splits", "load", "names", "spec"]

TFDS_PREFIX = "tfds:"


def names() -> list[str]:
  """The names that need no preparation by the user."""
  return sorted([digits.SPEC.name, *IDX_SETS])


def spec(name: str, *, data_dir: str | None = None) -> Spec:
  """The facts of a data set, without loading it.

  Only tfds:NAME looks at a disk, at its metadata in the TFDS folder `data_dir`, and may so raise
  DataUnavailableError. Raises UserError for an unknown name.
  """
  _check_known(name)
  data_dir = _existing_folder(data_dir)
  if name.startswith(TFDS_PREFIX):
    from research.data import tfds_arrays

    plain = name.removeprefix(TFDS_PREFIX)
    return tfds_arrays.spec(plain, data_dir or _named_tfds_folder(plain))
  return digits.SPEC if name == digits.SPEC.name else IDX_SETS[name].spec


def load(
  name: str, *, validation: int | float = 0, seed: int = 0, data_dir: str | None = None
) -> Splits:
  """Loads a data set, and takes a validation set from its training set.

  Args:
    name: see the top of this module.
    validation: how many training examples to set aside, a count (int) or a fraction (float).
      They are drawn class by class, and what they are depends on nothing but `seed`; both parts
      keep the order of the original. A TFDS set that has splits "validation" and "test" gives its
      own validation split instead, whole.
    seed: 0 or more.
    data_dir: the folder of the raw IDX files for mnist and fashion_mnist (asked before any host;
      not needed once they are prepared), the TFDS folder for tfds:NAME; by default that of
      --data_dir, or of the environment's LINEAGE_DATA_DIR (`sources.own_folder`).

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
  if name.startswith(TFDS_PREFIX):
    from research.data import tfds_arrays

    plain = name.removeprefix(TFDS_PREFIX)
    train, own, test = tfds_arrays.load(plain, data_dir or _named_tfds_folder(plain))
    if own and validation:
      return Splits(train, own, test)
  elif name == digits.SPEC.name:
    train, test = digits.load()
  else:
    train, test = prepared.load(IDX_SETS[name], data_dir)
  return Splits(*_hold_out(name, train, validation, seed), test)


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
  if name in names() or (name.startswith(TFDS_PREFIX) and name != TFDS_PREFIX):
    return
  near = difflib.get_close_matches(name.lower().replace("-", "_"), names(), cutoff=0.5)
  guess = f"did you mean {' or '.join(near)}? " if near else ""
  raise UserError(
    f"data set {name!r} is unknown; {guess}There are {', '.join(names())}, "
    "and tfds:NAME for any prepared TFDS data set"
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
