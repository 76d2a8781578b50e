"""Tables of which a column of numbers is predicted: csv:PATH, parquet:PATH, and an embedded one.

"diabetes" comes with scikit-learn: ten measurements of 442 patients, and how far their disease had
gone after a year (Efron et al. 2004). For the user's own tables the rules are those of `tables`;
the target is the last column, or the one behind @. Rows without a target are left out. Where there
is no test part, a tenth of the rows is, drawn with seed 0.

Features and targets are standardised by the training part, so that rates and penalties mean the
same whatever the units are.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from research.data import own, stratify, tables
from research.data.own_parts import Part, Read, without_missing
from research.data.spec import Arrays
from research.errors import UserError

DIABETES = "diabetes"


class Targets(NamedTuple):
  """Parts of {"image": float32 [n, features], "target": float32 [n, 1]}, standardised.

  Attributes:
    train: to learn from.
    validation: the set's own; None where it has none.
    test: the set's own, or a tenth of the rows.
    mean: of the training part's targets, in their own units.
    deviation: likewise.
  """

  train: Arrays
  validation: Arrays | None
  test: Arrays
  mean: float
  deviation: float


def load(name: str) -> Targets:
  """Reads a table with a target whole.

  Raises:
    UserError: for another name, and in one line that names the file and the row for what does not
      fit.
  """
  if name == DIABETES:
    return _standardised(Path(DIABETES), _diabetes())
  if not own.is_table(name):
    raise UserError(f"data set {name!r} is no table with a number to predict; give csv:PATH@COLUMN")
  return _read(name, own.stamps(name))


@functools.lru_cache(maxsize=2)
def _read(name: str, stamps: own.Stamps) -> Targets:
  del stamps  # another one is another set
  _, path, option = own.resolved(name)
  suffix = f".{name.partition(':')[0]}"
  return _standardised(path, tables.read_numbers(path, option, suffix))


def _diabetes() -> Read:
  from sklearn.datasets import load_diabetes

  found = load_diabetes(scaled=False)
  places = [f"{DIABETES}: row {row}" for row in range(1, len(found.target) + 1)]
  train = Part(found.data.astype(np.float32), found.target, places)
  return Read(train, None, None, is_scaled=np.ones(found.data.shape[1], bool))


def _standardised(path: Path, read: Read) -> Targets:
  """The parts by the rules above."""
  train = _with_target(path, read.train)
  validation, test = (part and _with_target(path, part) for part in (read.validation, read.test))
  if test is None:
    count = max(1, round(own.TEST_SHARE * len(train.labels)))
    drawn = stratify.draw(np.zeros(len(train.labels), np.int32), count, seed=0)
    test = Part(train.inputs[drawn], train.labels[drawn], ())
    train = Part(train.inputs[~drawn], train.labels[~drawn], ())
  if len(train.labels) < 2 or not train.labels.std():
    raise UserError(
      f"{path}: the {len(train.labels)} training targets are all alike; nothing to learn"
    )
  assert read.is_scaled is not None
  shift, scale = own.scaling(train.inputs, read.is_scaled)
  mean, deviation = float(train.labels.mean()), float(train.labels.std())

  def arrays(part: Part) -> Arrays:
    target = ((part.labels - mean) / deviation).astype(np.float32)
    return {"image": own.scaled(part.inputs, shift, scale), "target": target[:, None]}

  order = stratify.shuffled_order(len(train.labels), seed=0)
  shuffled = {key: array[order] for key, array in arrays(train).items()}
  return Targets(
    shuffled, validation and arrays(validation), arrays(test), mean=mean, deviation=deviation
  )


def _with_target(path: Path, part: Part) -> Part:
  return without_missing(path, part, np.isfinite(part.labels), "row", "target")
