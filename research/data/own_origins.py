"""Origins of the examples of a user's own data: their files and rows, and their columns."""

import numpy as np

from research.data import own, tables
from research.data.spec import Arrays


def places_of(name: str, data: Arrays) -> list[str]:
  """The file or the row of each example of a set, which is known again by its inputs and label.

  Of equal examples all have the place of the first one; "" stands for an unknown one.

  Args:
    name: of the data set.
    data: "image" and "label" of some of its examples.
  """
  form, path, option = own.resolved(name)
  if form.read is None:  # the arrays are all there is
    return [""] * len(data["label"])
  read = form.read(path, option)
  values = np.unique(own.labelled(path, read.train).labels)
  known: dict[tuple[bytes, int], str] = {}
  for part in filter(None, (read.train, read.validation, read.test)):
    inputs, labels, places = own.labelled(path, part)
    if read.is_scaled is not None:
      inputs = own.scaled(inputs, *_scaling(name))
    for x, label, place in zip(inputs, np.searchsorted(values, labels), places, strict=True):
      known.setdefault((x.tobytes(), int(label)), str(place))
  each = zip(np.asarray(data["image"]), np.asarray(data["label"]), strict=True)
  return [known.get((x.tobytes(), int(label)), "") for x, label in each]


def columns_of(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
  """The columns of a table's rows in their own units, from the features [rows, features]."""
  form, path, option = own.resolved(name)
  layout = tables.layout_of(tables.read_table(form.files(path)[0]), option)
  shift, scale = _scaling(name)
  plain, columns, first = x * scale + shift, {}, 0
  for column, texts in layout.features.items():
    found = plain[:, first : first + max(len(texts), 1)]
    first += max(len(texts), 1)
    columns[column] = np.array(texts)[found.argmax(axis=1)] if texts else found[:, 0]
  return columns


def _scaling(name: str) -> tuple[np.ndarray, np.ndarray]:
  """The shift and the scale of each feature."""
  shift, scale = zip(*(each[1:] for each in own.features_of(name)), strict=True)
  return np.array(shift), np.array(scale)
