"""Images and labels in the archives that CIFAR, SVHN and EMNIST are published as.

Each function takes the paths of the files and gives {"image": uint8 [n, height, width, channels],
"label": int32 [n]} of the training and of the test part, or raises ValueError.
"""

import gzip
import pickle
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from research.data import idx, pickled_arrays
from research.data.spec import Arrays

SIDE = 32  # pixels of CIFAR's images


def cifar_binary(
  members: Sequence[Sequence[str]], labels: int, paths: list[Path]
) -> tuple[Arrays, Arrays]:
  """Reads a tar file of records: bytes of labels, of which the last counts, then one image's.

  Args:
    members: of the training part and of the test part.
    labels: bytes before each image.
    paths: of the one archive.

  Raises:
    ValueError: for a member that is missing or holds no whole number of records.
  """
  length = labels + 3 * SIDE * SIDE

  def part(contents: list[bytes]) -> Arrays:
    for content in contents:
      if len(content) % length:
        raise ValueError(f"{paths[0]}: a batch of {len(content)} bytes is not whole")
    records = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, length)
    return {
      "image": _channels_last(records[:, labels:]),
      "label": records[:, labels - 1].astype(np.int32),
    }

  train, test = (part(_members(paths[0], names)) for names in members)
  return train, test


def cifar_python(members: Sequence[Sequence[str]], paths: list[Path]) -> tuple[Arrays, Arrays]:
  """Reads a tar file of pickles, which may name arrays and nothing else.

  Args:
    members: of the training part and of the test part.
    paths: of the one archive.

  Raises:
    ValueError: for a member that is missing or is no such pickle.
  """

  def part(contents: list[bytes]) -> Arrays:
    try:
      batches = [pickled_arrays.unpickled(content, "bytes") for content in contents]
    except pickle.UnpicklingError as error:
      raise ValueError(f"{paths[0]} holds a pickle that is refused: {error}") from error
    classes = [batch.get("fine_labels", batch.get("labels")) for batch in batches]
    return {
      "image": _channels_last(np.concatenate([batch["data"] for batch in batches])),
      "label": np.concatenate([np.array(each, np.int32) for each in classes]),
    }

  train, test = (part(_members(paths[0], names)) for names in members)
  return train, test


def svhn(paths: list[Path]) -> tuple[Arrays, Arrays]:
  """Reads MATLAB files with X [32, 32, 3, n] and y [n, 1], in which 10 stands for the digit 0.

  Args:
    paths: of the training file and of the test file.

  Raises:
    ValueError: for a file that is none.
  """
  import scipy.io

  def part(path: Path) -> Arrays:
    found = scipy.io.loadmat(path, variable_names=("X", "y"))
    labels = found["y"].reshape(-1).astype(np.int32) % 10
    return {"image": np.ascontiguousarray(found["X"].transpose(3, 0, 1, 2)), "label": labels}

  train, test = map(part, paths)
  return train, test


def emnist(stem: str, first: int, paths: list[Path]) -> tuple[Arrays, Arrays]:
  """Reads a zip file of gzipped IDX files, whose images lie on their side.

  Args:
    stem: with which the names of the set's members begin.
    first: the label of the first class.
    paths: of the one archive.

  Raises:
    ValueError: for a member that is missing or is no IDX file.
  """
  with zipfile.ZipFile(paths[0]) as archive:

    def array(member: str) -> np.ndarray:
      try:
        return idx.decode(gzip.decompress(archive.read(f"{stem}-{member}-ubyte.gz")))
      except KeyError as error:
        raise ValueError(f"{paths[0]} holds no {stem}-{member}-ubyte.gz") from error

    def part(split: str) -> Arrays:
      images = array(f"{split}-images-idx3").swapaxes(1, 2)[..., None]
      labels = array(f"{split}-labels-idx1").astype(np.int32) - first
      return {"image": np.ascontiguousarray(images), "label": labels}

    return part("train"), part("test")


def _members(path: Path, names: Sequence[str]) -> list[bytes]:
  """The contents of these files of a tar file; nothing is unpacked onto the disk."""
  with tarfile.open(path) as archive:
    try:
      files = [archive.extractfile(name) for name in names]
    except KeyError as error:
      raise ValueError(f"{path}: {error.args[0]}") from error
    return [file.read() for file in files if file]


def _channels_last(rows: np.ndarray) -> np.ndarray:
  """Images [n, 32, 32, 3] from rows of all red, then all green, then all blue numbers."""
  return np.ascontiguousarray(rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
