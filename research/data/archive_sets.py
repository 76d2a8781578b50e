"""CIFAR-10, CIFAR-100, SVHN and EMNIST: their facts, who publishes them, and the proof of each.

No package holds them, and the archives are large (64 to 562 MB), so that most users have the files
already: in --data_dir, or in its sub-folder named as the set. An archive that lies there
is taken; otherwise the first one of a set is fetched from its original host. It is known by its
size and SHA-256 (the table that TFDS 4.9.10 has of downloads; for the Python archives of CIFAR the
digest by which Keras knows them), and becomes one .npz file in the cache, which is all that a later
start reads.

The images come in the order of the files. EMNIST's lie on their side in the files and are turned
here; SVHN's digit 0 has label 10 in the files and 0 here; EMNIST's letters begin at 1 in the files
and at 0 here. SVHN is the set of cropped digits without its part "extra".
"""

import functools
import string
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from research.data import archives, cache, prepared, sources
from research.data.spec import Arrays, Spec
from research.store.files import cache_folder

Parts = tuple[Arrays, Arrays]  # to learn from, to be tested on


class Archive(NamedTuple):
  """One form in which a set is published, as `prepared.fetch` wants it.

  Attributes:
    name: of the set.
    files: (name, bytes, SHA-256) of each file.
    downloads: who serves them.
    read: gives the parts, from the paths of the files; raises ValueError where they are others.
  """

  name: str
  files: tuple[tuple[str, int, str], ...]
  downloads: tuple[sources.Source, ...]
  read: Callable[[list[Path]], Parts]

  @property
  def sha256(self) -> dict[str, str]:
    """File name -> hexadecimal digest."""
    return {name: digest for name, _, digest in self.files}

  def file_sizes(self) -> dict[str, int]:
    """File name -> bytes."""
    return {name: size for name, size, _ in self.files}


class ArchiveSet(NamedTuple):
  """A data set, and the forms in which it is published; the first is fetched."""

  spec: Spec
  archives: tuple[Archive, ...]


def load(name: str, data_dir: str | None) -> Parts:
  """The (train, test) arrays of a set of `ARCHIVE_SETS`.

  Args:
    name: of the set.
    data_dir: a folder that may hold its files, by default that of `sources.own_folder`.

  Raises:
    DataUnavailableError: no source has them.
    UserError: files of that folder have the names of the published ones, and are others.
  """
  spec, forms = ARCHIVE_SETS[name]

  def make(scratch: Path) -> Arrays:
    form = _form_at_hand(forms, data_dir)
    prepared.check_own_files(form, data_dir)
    raw = prepared.fetch(form, data_dir, scratch)
    train, test = form.read([raw / file for file in form.file_sizes()])
    parts = {"train": train, "test": test}
    return {f"{part}_{key}": array for part in parts for key, array in parts[part].items()}

  is_right = functools.partial(prepared.has_the_right_shape, spec)
  return prepared.parts_of(cache.made_once(cache_folder(), name, make, is_right))


def _form_at_hand(forms: tuple[Archive, ...], data_dir: str | None) -> Archive:
  """The first form of which the user's folder has a file; else the first."""
  folder = sources.own_folder(data_dir)
  places = sources.own_places(folder, forms[0].name) if folder else []
  has_some = lambda form: any(sources.candidates(places, file) for file in form.file_sizes())
  return next(filter(has_some, forms), forms[0])


TORONTO = sources.host("https://www.cs.toronto.edu/~kriz/", suffix="")
STANFORD = sources.host("http://ufldl.stanford.edu/housenumbers/", suffix="")
NIST = sources.host("https://biometrics.nist.gov/cs_links/EMNIST/", suffix="")


def _cifar(
  names: str,
  binary: tuple[int, str],
  python: tuple[int, str],
  members: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]],
) -> ArchiveSet:
  """CIFAR-10 or 100 from (bytes, SHA-256) of both its archives.

  The members are those of the binary archive to learn from and to test on, then the other's.
  """
  classes = tuple(names.split())
  count = len(classes)
  name, stem = f"cifar{count}", f"cifar-{count}"
  label = 1 if count == 100 else 0  # of CIFAR-100's two bytes of labels, the class
  forms = (
    ("binary", binary, functools.partial(archives.cifar_binary, members[:2], label + 1)),
    ("python", python, functools.partial(archives.cifar_python, members[2:])),
  )
  return ArchiveSet(
    Spec(name, (32, 32, 3), count, 50_000, 10_000, classes),
    tuple(
      Archive(name, ((f"{stem}-{form}.tar.gz", *known),), (TORONTO,), read)
      for form, known, read in forms
    ),
  )


CLASSES_OF_10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASSES_OF_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR10 = _cifar(
  CLASSES_OF_10,
  (170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
  (170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
  (
    tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    ("cifar-10-batches-bin/test_batch.bin",),
    tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
    ("cifar-10-batches-py/test_batch",),
  ),
)
CIFAR100 = _cifar(
  CLASSES_OF_100,
  (168_513_733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
  (169_001_437, "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
  (
    ("cifar-100-binary/train.bin",),
    ("cifar-100-binary/test.bin",),
    ("cifar-100-python/train",),
    ("cifar-100-python/test",),
  ),
)
SVHN = ArchiveSet(
  Spec("svhn", (32, 32, 3), 10, 73_257, 26_032),
  (
    Archive(
      "svhn",
      (
        (
          "train_32x32.mat",
          182_040_794,
          "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        (
          "test_32x32.mat",
          64_275_384,
          "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
      ),
      (STANFORD,),
      archives.svhn,
    ),
  ),
)
DIGITS, CAPITALS = tuple(string.digits), tuple(string.ascii_uppercase)
# Of the merged sets, whose other letters look the same in both cases.
MERGED = (*DIGITS, *CAPITALS, *"abdefghnqrt")


def _emnist(split: str, classes: tuple[str, ...], train: int, test: int) -> ArchiveSet:
  names = () if classes == DIGITS else classes
  name, first = f"emnist_{split}", 1 if split == "letters" else 0
  digest = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"
  read = functools.partial(archives.emnist, f"gzip/emnist-{split}", first)
  archive = Archive(name, (("gzip.zip", 561_753_746, digest),), (NIST,), read)
  return ArchiveSet(Spec(name, (28, 28, 1), len(classes), train, test, names), (archive,))


ARCHIVE_SETS = {
  each.spec.name: each
  for each in (
    CIFAR10,
    CIFAR100,
    SVHN,
    _emnist("balanced", MERGED, 112_800, 18_800),
    _emnist("byclass", (*DIGITS, *CAPITALS, *string.ascii_lowercase), 697_932, 116_323),
    _emnist("bymerge", MERGED, 697_932, 116_323),
    _emnist("digits", DIGITS, 240_000, 40_000),
    _emnist("letters", tuple(string.ascii_lowercase), 124_800, 20_800),
    _emnist("mnist", DIGITS, 60_000, 10_000),
  )
}
