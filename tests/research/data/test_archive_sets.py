"""CIFAR, SVHN and EMNIST, from stand-ins for their archives that the test writes."""

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import scipy.io

from research.data import archive_sets, idx, sets
from research.data.archive_sets import ARCHIVE_SETS
from research.errors import DataUnavailableError, UserError
from tests.fixtures.own_files import image_folder

pytestmark = pytest.mark.fast

rng = np.random.default_rng(0)
TRAIN, TEST = 10, 4  # examples of the stand-ins; CIFAR-10's come in five batches


def parts_of(name):
  """Random images and labels of a set's shape, by part."""
  spec = ARCHIVE_SETS[name].spec
  return {
    part: (rng.integers(0, 256, (n, *spec.image_shape), np.uint8), np.arange(n) % spec.classes)
    for part, n in (("train", TRAIN), ("test", TEST))
  }


def tar(path, files):
  with tarfile.open(path, "w:gz") as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))


def planes(images):
  return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def batches(part, images, labels):
  """CIFAR-10's batches of a part by the ends of their names."""
  if part == "test":
    return {"test_batch": (images, labels)}
  return {f"data_batch_{n + 1}": (images[2 * n :][:2], labels[2 * n :][:2]) for n in range(5)}


def binary10(folder, parts):
  files = {
    f"cifar-10-batches-bin/{name}.bin": np.column_stack([y, planes(x)]).astype(np.uint8).tobytes()
    for part, both in parts.items()
    for name, (x, y) in batches(part, *both).items()
  }
  tar(folder / "cifar-10-binary.tar.gz", files)


def as_python_2_had_them(values):
  """A pickle whose texts are bytes, as protocol 2 of Python 2 writes them."""
  return pickle.dumps({key.encode(): value for key, value in values.items()}, protocol=2)


def python10(folder, parts):
  files = {
    f"cifar-10-batches-py/{name}": as_python_2_had_them(
      {"batch_label": b"batch", "labels": y.tolist(), "data": planes(x), "filenames": [b"a.png"]}
    )
    for part, both in parts.items()
    for name, (x, y) in batches(part, *both).items()
  }
  tar(folder / "cifar-10-python.tar.gz", files)


def binary100(folder, parts):
  files = {
    f"cifar-100-binary/{part}.bin": np.column_stack([y // 5, y, planes(x)]).astype(np.uint8)
    for part, (x, y) in parts.items()
  }
  tar(folder / "cifar-100-binary.tar.gz", {name: file.tobytes() for name, file in files.items()})


def python100(folder, parts):
  files = {
    f"cifar-100-python/{part}": as_python_2_had_them(
      {"coarse_labels": (y // 5).tolist(), "fine_labels": y.tolist(), "data": planes(x)}
    )
    for part, (x, y) in parts.items()
  }
  tar(folder / "cifar-100-python.tar.gz", files)


def mat(folder, parts):
  for part, (x, y) in parts.items():
    digits = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
    scipy.io.savemat(folder / f"{part}_32x32.mat", {"X": x.transpose(1, 2, 3, 0), "y": digits})


def idx_zip(folder, parts, split, first):
  with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
    for part, (x, y) in parts.items():
      lying = x[..., 0].swapaxes(1, 2)
      for kind, array in (("images-idx3", lying), ("labels-idx1", y + first)):
        member = f"gzip/emnist-{split}-{part}-{kind}-ubyte.gz"
        archive.writestr(member, gzip.compress(idx.encode(array)))


FORMS = {
  "cifar10": [binary10, python10],
  "cifar100": [binary100, python100],
  "svhn": [mat],
  "emnist_letters": [lambda folder, parts: idx_zip(folder, parts, "letters", 1)],
  "emnist_digits": [lambda folder, parts: idx_zip(folder, parts, "digits", 0)],
}


def stand_in(monkeypatch, name, folder):
  """The set with the sizes and digests of the files in the folder, and nowhere to fetch from."""
  spec, forms = ARCHIVE_SETS[name]

  def known(form):
    contents = {
      file: (folder / file).read_bytes() if (folder / file).exists() else b""
      for file in form.sha256
    }
    return form._replace(
      files=tuple(
        (file, len(content), hashlib.sha256(content).hexdigest())
        for file, content in contents.items()
      ),
      downloads=(),
    )

  small = archive_sets.ArchiveSet(
    spec._replace(train_size=TRAIN, test_size=TEST), tuple(map(known, forms))
  )
  monkeypatch.setitem(ARCHIVE_SETS, name, small)


@pytest.mark.parametrize(
  ("name", "write"), [(name, write) for name, forms in FORMS.items() for write in forms]
)
@pytest.mark.parametrize("below", ["", "named"])
def test_each_form_gives_the_images_that_went_in(name, write, below, tmp_path, monkeypatch):
  folder = tmp_path / "own" / (name if below else "")
  folder.mkdir(parents=True)
  parts = parts_of(name)
  write(folder, parts)
  stand_in(monkeypatch, name, folder)
  splits = sets.load(name, data_dir=str(tmp_path / "own"))
  for part, (images, labels) in parts.items():
    found = getattr(splits, part)
    assert found["label"].dtype == np.int32 and found["image"].dtype == np.uint8
    np.testing.assert_array_equal(found["image"], images)
    np.testing.assert_array_equal(found["label"], labels)
  assert len(sets.load(name).train["label"]) == TRAIN  # from the cache, without the folder


def test_a_changed_archive_is_refused_and_a_missing_one_is_named(tmp_path, monkeypatch):
  binary10(tmp_path, parts_of("cifar10"))
  stand_in(monkeypatch, "cifar10", tmp_path)
  file = tmp_path / "cifar-10-binary.tar.gz"
  file.write_bytes(file.read_bytes()[:-1] + b"?")
  with pytest.raises(UserError, match=r"cifar-10-binary.tar.gz is not the known file"):
    sets.load("cifar10", data_dir=str(tmp_path))
  file.unlink()
  with pytest.raises(DataUnavailableError, match=r"FOLDER that holds cifar-10-binary.tar.gz"):
    sets.load("cifar10", data_dir=str(tmp_path))


class Runs:
  def __reduce__(self):
    return print, ("a file's own code runs",)


def test_a_pickle_that_names_more_than_arrays_is_refused(tmp_path, monkeypatch, capsys):
  evil = {
    f"cifar-10-batches-py/data_batch_{n}": pickle.dumps({b"data": Runs()}) for n in range(1, 6)
  }
  tar(tmp_path / "cifar-10-python.tar.gz", evil)
  stand_in(monkeypatch, "cifar10", tmp_path)
  with pytest.raises(ValueError, match=r"it asks for builtins.print"):
    sets.load("cifar10", data_dir=str(tmp_path))
  assert "own code" not in capsys.readouterr().out


def test_the_table_is_whole():
  for name, (spec, forms) in ARCHIVE_SETS.items():
    assert spec.name == name and {form.name for form in forms} == {name}
    assert len(set(spec.class_names)) == len(spec.class_names) in (0, spec.classes)
    for form in forms:
      assert form.downloads
      assert all(len(digest) == 64 and size > 1e6 for _, size, digest in form.files)
  digests = [
    d for _, forms in ARCHIVE_SETS.values() for form in forms for d in form.sha256.values()
  ]
  assert len(set(digests)) == 7  # EMNIST's sets are of one archive


def test_a_folder_like_imagenette_is_tested_on_its_val_images(tmp_path):
  image_folder(tmp_path / "imagenette2", parts=("train", "val"))
  (tmp_path / "imagenette2" / "noisy_imagenette.csv").write_text("path,label\n")
  splits = sets.load(f"folder:{tmp_path / 'imagenette2'}")
  assert len(splits.test["label"]) == 18 and not len(splits.validation["label"])
