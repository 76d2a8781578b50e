"""The verb `predict`: the answers of a run's network to files."""

import csv
import io
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from research.cli import common_flags
from research.data.sources import own_files_in
from research.errors import UserError
from research.store.files import as_path

if TYPE_CHECKING:  # it imports JAX
  from research.lab.prediction import Inputs

ROWS = (".csv", ".txt", ".tsv", ".parquet")
STDIN = "-"
STDIN_NAME = "stdin"


def define(values: flags.FlagValues) -> None:
  """Defines the verb's flags."""
  flags.DEFINE_string("workdir", None, "the folder of the run that answers", flag_values=values)
  flags.DEFINE_string("data_dir", None, "folder with raw files of its data set", flag_values=values)
  common_flags.define_at_step(
    values, "the checkpoint of this step answers, instead of the best one"
  )
  text = "one JSON value an input, with the probability of every class"
  flags.DEFINE_bool("json", False, text, flag_values=values)


def predict(values: flags.FlagValues, words: list[str]) -> int:
  """Prints file, class and probability of each image or row; returns the exit code.

  Raises:
    UserError: for a file that cannot be read, or a run that classifies nothing.
  """
  from research.lab import open_run, prediction, process

  if not values.workdir:
    raise UserError("predict needs the folder of a run: --workdir=runs/NAME/DIGEST")
  if not words:
    raise UserError("predict needs something to classify: images, folders, CSV files, or -")
  sources = [source for word in words for source in _files(word)]
  run = open_run.open_run(common_flags.path(values, "workdir"), at_step=values.at_step)
  process.start_jax()
  with own_files_in(common_flags.data_dir(values)):
    wanted = run.inputs
    for images in _runs_of_images(sources):
      if isinstance(images, list):
        x = prediction.image_inputs(wanted, images)
        names = [str(image) for image in images]
      else:
        x, names = _of_file(images, wanted, getattr(run.config, "dataset", ""))
      answers = run.predict(x)
      for number, name in enumerate(names):
        answer = answers.as_json(number)
        if values.json:
          print(json.dumps({"file": name, **answer}))
        else:
          print(f"{name}\t{answer['class']}\t{answer['probability']:.4f}")
  return 0


def _files(word: str) -> list[Path | str]:
  """The files that a word names: itself, or the images under a folder in the order of names."""
  from research.data.image_files import SUFFIXES
  from research.data.image_folders import images_below

  if word == STDIN:
    return [STDIN]
  path = as_path(word, "predict ")
  if path.is_dir():
    found = images_below(path)
    if not found:
      raise UserError(f"{path} holds no images ({', '.join(SUFFIXES)})")
    return list(found)
  if not path.is_file():
    raise UserError(f"predict {word}: there is no such file")
  if path.suffix.lower() not in (*SUFFIXES, *ROWS):
    raise UserError(f"{path}: give images ({', '.join(SUFFIXES)}) or rows ({', '.join(ROWS)})")
  return [path]


def _runs_of_images(sources: list[Path | str]) -> list[list[Path] | Path | str]:
  """The sources in their order, with images that follow each other taken together."""
  from research.data.image_files import SUFFIXES

  groups: list[list[Path] | Path | str] = []
  for source in sources:
    if isinstance(source, Path) and source.suffix.lower() in SUFFIXES:
      if not groups or not isinstance(groups[-1], list) or len(groups[-1]) >= 256:
        groups.append([])
      last = groups[-1]
      assert isinstance(last, list)
      last.append(source)
    else:
      groups.append(source)
  return groups


def _of_file(source: Path | str, wanted: "Inputs", dataset: str) -> tuple[np.ndarray, list[str]]:
  """The inputs in a file of rows, or in stdin, which may hold an image too; and their names.

  Where the network has learned from a table, the rows have its columns.
  """
  from research.data import own
  from research.lab import prediction

  name = STDIN_NAME if source == STDIN else str(source)
  content = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
  if not content.strip():
    raise UserError(f"{name} is empty")
  if own.is_table(dataset):
    return own.rows_of(dataset, Path(source)) if source != STDIN else _of_stdin(dataset, content)
  try:
    text = content.decode("utf-8-sig")
  except UnicodeDecodeError:
    with tempfile.NamedTemporaryFile() as file:  # an image is read by the one way there is
      file.write(content)
      file.flush()
      return prediction.image_inputs(wanted, [Path(file.name)]), [name]
  rows = [(n, row) for n, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(row)]
  if _numbers(rows[0][1]) is None:
    rows = rows[1:]  # names of the columns
  size = math.prod(wanted.shape)
  read = []
  for number, row in rows:
    values = _numbers(row)
    if values is None or len(values) != size:
      what = "what is no number" if values is None else f"{len(values)} values"
      raise UserError(f"{name}, row {number}: {what}; this network takes {size} numbers a row")
    if wanted.dtype.kind in "iu" and any(value != int(value) for value in values):
      raise UserError(f"{name}, row {number}: this network takes whole numbers")
    read.append(values)
  if not read:
    raise UserError(f"{name} holds no rows of numbers")
  kind = np.int64 if wanted.dtype.kind in "iu" else np.float32
  x = np.array(read).astype(kind).reshape(-1, *wanted.shape)
  return x, [f"{name}:{number}" for number, _ in rows]


def _of_stdin(dataset: str, content: bytes) -> tuple[np.ndarray, list[str]]:
  """The rows of a table from stdin, by the reader that takes files."""
  from research.data import own

  with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    file.write(content)
    file.flush()
    try:
      x, places = own.rows_of(dataset, Path(file.name))
    except UserError as error:
      raise UserError(str(error).replace(file.name, STDIN_NAME)) from error
  return x, [place.replace(file.name, STDIN_NAME) for place in places]


def _numbers(row: list[str]) -> list[float] | None:
  """A row's numbers, all finite; None where it holds anything else."""
  try:
    values = [float(cell) for cell in row]
  except ValueError:
    return None
  return values if all(map(math.isfinite, values)) else None
