"""MNIST and its like, fetched, proved and prepared once, then at hand for every run.

Raw IDX files become a TFDS data set in the cache, and the TFDS data set becomes one .npz file
beside it, which is all that a later start reads:

  cache/tfds/lineage_mnist/1.0.0/   array_record files; tfds.builder("lineage_mnist", data_dir=...)
  cache/arrays/mnist.npz            train_image, train_label, test_image, test_label
"""

import contextlib
import functools
import hashlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from research.data import cache, idx, sources
from research.data.idx_sets import FILES, IDX_SETS, IdxSet
from research.data.spec import Arrays, Spec
from research.errors import DataUnavailableError, UserError
from research.store.files import cache_folder


class Published(Protocol):
  """Raw files that are known by their digests, and who serves them."""

  @property
  def name(self) -> str:
    """The name that users load them by."""

  @property
  def sha256(self) -> dict[str, str]:
    """File name -> hexadecimal digest."""

  @property
  def downloads(self) -> tuple[sources.Source, ...]:
    """Tried in this order, after the user's own files."""

  def file_sizes(self) -> dict[str, int]:
    """File name -> bytes."""


class OneFile(NamedTuple):
  """A `Published` thing that is one file.

  Attributes:
    name: as of `Published`.
    file: its name.
    digest: SHA-256, hexadecimal.
    size: bytes.
    downloads: as of `Published`.
  """

  name: str
  file: str
  digest: str
  size: int
  downloads: tuple[sources.Source, ...]

  @property
  def sha256(self) -> dict[str, str]:
    """The digest by the file's name."""
    return {self.file: self.digest}

  def file_sizes(self) -> dict[str, int]:
    """The size by the file's name."""
    return {self.file: self.size}


def load(idx_set: IdxSet, data_dir: str | None) -> tuple[Arrays, Arrays]:
  """The (train, test) arrays, in the order of the original files.

  `data_dir` is a folder with the raw files, asked first when they must be fetched; None means
  that of `sources.own_folder`. Raises DataUnavailableError when no source can serve, and UserError
  where that folder holds files of the user's own under the published names.
  """
  check_own_files(idx_set, data_dir, IDX_SETS.values())
  home = cache_folder()
  arrays = cache.made_once(
    home,
    idx_set.name,
    lambda scratch: _prepare(idx_set, data_dir, scratch, home / "tfds"),
    lambda held: has_the_right_shape(idx_set.spec, held),
  )
  return parts_of(arrays)


def parts_of(arrays: Arrays) -> tuple[Arrays, Arrays]:
  """The (train, test) parts of arrays named train_image, test_label and so on."""
  train, test = (
    {key: arrays[f"{split}_{key}"] for key in ("image", "label")} for split in ("train", "test")
  )
  return train, test


def check_own_files(
  published: Published, data_dir: str | None, alike: Iterable[Published] = ()
) -> None:
  """Refuses files that are called as the set's and are others, so that they are not passed over.

  A folder may hold one of the published sets that are `alike` under the same names; it is no file
  of the user's own.
  """
  folder = sources.own_folder(data_dir)
  if folder is None:
    return
  known = {digest for each in (published, *alike) for digest in each.sha256.values()}
  places = sources.own_places(folder, published.name)
  for name, size in published.file_sizes().items():
    digests = {
      path: _digest(path, path.stat().st_mtime_ns, name, size)
      for path in sources.candidates(places, name)
    }
    others = [path for path, digest in digests.items() if digest not in known]
    if others and published.sha256[name] not in digests.values():
      raise UserError(
        f"{others[0]} is not the known file (its size or SHA-256 differs), and {published.name} is "
        f"the published set; take the file out of {folder}, or load images of your own by "
        "folder:PATH, idx:PATH, npz:PATH or tfds:NAME"
      )


@functools.lru_cache(maxsize=32)
def _digest(path: Path, mtime_ns: int, name: str, size: int) -> str:
  """The SHA-256 of what is in the file, uncompressed; of its first bytes where it is too long."""
  try:
    return hashlib.sha256(sources.read(path, name, size)).hexdigest()
  except sources.UNREADABLE:
    return ""


def _prepare(idx_set: IdxSet, data_dir: str | None, scratch: Path, tfds_dir: Path) -> Arrays:
  """The arrays, through the TFDS data set, which is built unless it is there and sound."""
  try:
    from research.data import idx_builder
  except ImportError as error:
    raise UserError(
      f"{idx_set.name}: preparing it needs the packages of requirements.txt ({error})"
    ) from error
  arrays = _read_tfds(idx_set, tfds_dir)
  if arrays is not None:
    return arrays
  raw = fetch(idx_set, data_dir, scratch)
  print(f"{idx_set.name}: preparing it in {tfds_dir}, once", file=sys.stderr)
  with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself there
    made = idx_builder.build(idx_set, raw, scratch / "tfds")
  cache.publish_folder(made, tfds_dir / made.parent.name / made.name)
  arrays = _read_tfds(idx_set, tfds_dir)
  if arrays is None:
    raise UserError(f"{idx_set.name}: what was just written to {tfds_dir} reads back wrong")
  return arrays


def fetch(
  published: Published,
  data_dir: str | None,
  scratch: Path,
  instead: str = "another --dataset, such as digits, which needs none",
) -> Path:
  """A folder with the raw files, from the first source that serves them all unharmed.

  Raises DataUnavailableError, which ends by saying what there is `instead`.
  """
  own_folder = sources.own_folder(data_dir)
  own = (sources.folder(own_folder, published.name),) if own_folder else ()
  refusals = []
  for index, source in enumerate((*own, *published.downloads)):
    print(f"{published.name}: fetching from {source.title}", file=sys.stderr)
    desk, raw = scratch / f"source-{index}", scratch / f"raw-{index}"
    desk.mkdir()
    raw.mkdir()
    try:
      sources.collect(source, desk, published.file_sizes(), published.sha256, raw)
      return raw
    except sources.SourceError as error:
      refusals.append(f"{source.title}: {error}")
      print(f"{published.name}: not from there: {error}", file=sys.stderr)
  names = ", ".join(published.sha256)
  raise DataUnavailableError(
    f"data set {published.name} could not be had. Tried {' | '.join(refusals)}. Ways out: "
    f"--data_dir=FOLDER that holds {names} (each as it is, or as .gz); a network; or {instead}"
  )


def has_the_right_shape(spec: Spec, arrays: Arrays) -> bool:
  """Tells whether arrays named train_image, test_label and so on are of these facts."""
  due: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
  for split, n in (("train", spec.train_size), ("test", spec.test_size)):
    due[f"{split}_image"] = ((n, *spec.image_shape), np.dtype(np.uint8))
    due[f"{split}_label"] = ((n,), np.dtype(np.int32))
  return due == {name: (array.shape, array.dtype) for name, array in arrays.items()}


def _read_tfds(idx_set: IdxSet, tfds_dir: Path) -> Arrays | None:
  """The arrays of the TFDS data set; None when it is absent or not, bit for bit, the known one."""
  from research.data import tfds_arrays

  if not (tfds_dir / idx_set.builder_name).exists():
    return None
  arrays: Arrays = {}
  try:
    builder = tfds_arrays.open_builder(idx_set.builder_name, str(tfds_dir))
    for split in FILES:
      for name, array in tfds_arrays.read(builder, split).items():
        arrays[f"{split}_{name}"] = array
  except Exception as error:  # whatever is wrong with it, it can be made again
    print(f"{idx_set.name}: {tfds_dir} is damaged ({error}); making it again", file=sys.stderr)
    return None
  return arrays if _is_proved(idx_set, arrays) else None


def _is_proved(idx_set: IdxSet, arrays: Arrays) -> bool:
  """Tells whether the arrays, written as IDX files, have the known digests."""
  if not has_the_right_shape(idx_set.spec, arrays):
    return False
  for split, files in FILES.items():
    images = arrays[f"{split}_image"].reshape(-1, *idx_set.spec.image_shape[:2])
    for name, array in ((files.images, images), (files.labels, arrays[f"{split}_label"])):
      if hashlib.sha256(idx.encode(array)).hexdigest() != idx_set.sha256[name]:
        return False
  return True
