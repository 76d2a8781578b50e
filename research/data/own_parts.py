"""Examples as they are read from a user's own files, before their labels are numbered."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from research.errors import UserError

# Names of the parts of a data set, in the order in which they are looked for.
PARTS = {
  "train": ("train", "training"),
  "validation": ("validation", "val", "valid"),
  "test": ("test", "testing"),
}


class Part(NamedTuple):
  """The training, validation or test examples.

  Attributes:
    inputs: [examples, ...]: images, or the columns of a table.
    labels: [examples], whole numbers or texts; -1 and "" stand for a missing one.
    places: the file or the row that each example comes from, for messages.
  """

  inputs: np.ndarray
  labels: np.ndarray
  places: Sequence[str]


class Read(NamedTuple):
  """All parts of a set.

  Attributes:
    train: to learn from.
    validation: the set's own, None where it has none.
    test: the set's own, None where it has none.
    class_names: by label, where the files have names for them.
    is_scaled: bool [features], the columns that are to be standardised; None for images.
  """

  train: Part
  validation: Part | None
  test: Part | None
  class_names: tuple[str, ...] = ()
  is_scaled: np.ndarray | None = None


def without_missing(
  path: Path, part: Part, is_there: Bool[np.ndarray, " examples"], example: str, wanted: str
) -> Part:
  """The examples whose label or target is there; says on stderr how many are left out.

  Args:
    path: of the set, for the message.
    part: all examples.
    is_there: for each whether it has one.
    example: what an example is called, such as "row".
    wanted: what it must have, such as "target".

  Raises:
    UserError: where none has one.
  """
  if not is_there.any():
    raise UserError(f"{path}: no {example} of a part has a {wanted}")
  if is_there.all():
    return part
  first, count = part.places[int(np.argmin(is_there))], len(is_there) - is_there.sum()
  left_out = f"{count} of {len(is_there)} {example}s without a {wanted}, first {first}"
  print(f"left out {left_out}", file=sys.stderr)
  places = [place for place, is_kept in zip(part.places, is_there, strict=True) if is_kept]
  return Part(part.inputs[is_there], part.labels[is_there], places)


def which_parts(names: Collection[str]) -> dict[str, str]:
  """Finds the parts among the names of files or folders: by part, the name; {} without "train".

  Where there is a validation part and no test part, it is the test part.
  """
  found = {
    part: next(name for name in known if name in names)
    for part, known in PARTS.items()
    if any(name in names for name in known)
  }
  if "train" not in found:
    return {}
  if "validation" in found and "test" not in found:
    found["test"] = found.pop("validation")
  return found
