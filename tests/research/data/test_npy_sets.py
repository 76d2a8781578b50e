"""Data sets as mapped files: written, interrupted, damaged, refused."""

import json
import shutil

import numpy as np
import pytest

from research.data import conversion, npy_sets, sets
from research.data.conversion import Rows
from research.data.spec import Spec
from research.errors import DiskFullError, UserError
from tests.fixtures.own_files import image_folder

pytestmark = pytest.mark.fast

SPEC = Spec("made", (4, 4, 1), 3, 30, 9)
SHAPES = {"train": 30, "test": 9}


def arrays_of(shapes=SHAPES, classes=3, read=lambda array, first, last: array[first:last]):
  rows = {}
  for part, count in shapes.items():
    images = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 1), np.uint8)
    labels = (np.arange(count) % classes).astype(np.int32)
    for field, array in (("image", images), ("label", labels)):
      reader = lambda first, last, array=array: read(array, first, last)
      rows[f"{part}_{field}"] = Rows(array.shape, array.dtype, reader)
  return rows


@pytest.fixture
def folder(tmp_path):
  conversion.write(tmp_path / "set", "made", SPEC, arrays_of())
  return tmp_path / "set"


def loaded(folder):
  return sets.load(f"npy:{folder}")


def test_a_converted_set_is_the_set(tmp_path):
  spec = conversion.convert("digits", tmp_path / "digits")
  found, digits = loaded(tmp_path / "digits"), sets.load("digits")
  for ours, theirs in ((found.train, digits.train), (found.test, digits.test)):
    assert ours.keys() == theirs.keys()
    for field in theirs:
      assert isinstance(ours[field], np.memmap) and not ours[field].flags.writeable
      assert ours[field].dtype == theirs[field].dtype
      assert np.array_equal(ours[field], theirs[field])
  assert not len(found.validation["label"])
  assert spec[1:] == sets.spec("digits")[1:] == sets.spec(f"npy:{tmp_path / 'digits'}")[1:]
  assert list(sets.digests(f"npy:{tmp_path / 'digits'}")) == ["manifest.json"]
  assert conversion.convert("digits", tmp_path / "digits") == spec  # again: nothing to do


def test_examples_without_a_label_are_left_out(tmp_path, monkeypatch):
  digits = sets.load("digits")
  label = digits.train["label"].copy()
  label[::2] = -1
  changed = digits._replace(train=digits.train | {"label": label})
  monkeypatch.setattr(conversion.sets, "load", lambda name: changed)
  conversion.convert("digits", tmp_path / "half")
  monkeypatch.undo()
  assert np.array_equal(loaded(tmp_path / "half").train["label"], label[1::2])
  assert np.array_equal(loaded(tmp_path / "half").train["image"], digits.train["image"][1::2])


@pytest.mark.parametrize("parts", [("",), ("train", "val", "test")])
def test_a_folder_of_images_is_decoded_block_by_block(tmp_path, monkeypatch, parts):
  name = f"folder:{image_folder(tmp_path / 'fruit', parts=parts)}@6x7"
  expected = sets.load(name)
  monkeypatch.setattr(npy_sets, "BLOCK", 4 * 6 * 7 * 3)
  monkeypatch.setattr(conversion.sets, "load", lambda name: 1 / 0)  # which would hold it whole
  spec = conversion.convert(name, tmp_path / "mapped")
  monkeypatch.undo()
  assert spec[1:] == sets.spec(name)[1:] and spec.class_names == ("apple", "lime", "plum")
  for ours, theirs in zip(loaded(tmp_path / "mapped"), expected, strict=True):
    for field in theirs:
      np.testing.assert_array_equal(ours[field], theirs[field])
  (tmp_path / "fruit" / parts[0] / "lime" / "0.png").write_bytes(b"other")
  with pytest.raises(UserError, match="as it was then"):
    conversion.convert(name.replace("@6x7", "@6x7x3"), tmp_path / "mapped")
  with pytest.raises(UserError, match=r"0.png is no image that can be read"):
    conversion.convert(name.replace("@6x7", "@6x7x3"), tmp_path / "another")


@pytest.mark.parametrize("calls", (1, 2, 8, 9, 14))
def test_a_conversion_that_was_killed_goes_on(tmp_path, folder, monkeypatch, calls):
  monkeypatch.setattr(npy_sets, "BLOCK", 64)  # four images, or sixteen labels
  read = []

  def until_killed(array, first, last):
    read.append(first)
    if len(read) == calls:
      raise KeyboardInterrupt
    return array[first:last]

  half = tmp_path / "half"
  with pytest.raises(KeyboardInterrupt):
    conversion.write(half, "made", SPEC, arrays_of(read=until_killed))
  with pytest.raises(UserError, match="its conversion did not end; give the same command again"):
    loaded(half)
  with open(half / "train_image.npy", "ab") as file:  # written, and not noted yet
    file.write(b"lost")
  conversion.write(half, "made", SPEC, arrays_of(read=until_killed))
  assert len(read) == 15  # 8 + 2 + 3 + 1 blocks, of which one was asked for twice
  files = sorted(file.name for file in folder.iterdir())
  assert sorted(file.name for file in half.iterdir()) == files
  for name in files:
    assert (half / name).read_bytes() == (folder / name).read_bytes()


def test_a_file_that_was_lost_meanwhile_is_written_again(tmp_path, folder, monkeypatch):
  monkeypatch.setattr(npy_sets, "BLOCK", 64)
  monkeypatch.setattr(conversion, "write_atomically", lambda *arguments: 1 / 0)  # the last step
  half = tmp_path / "half"
  with pytest.raises(ZeroDivisionError):
    conversion.write(half, "made", SPEC, arrays_of())
  monkeypatch.undo()
  (half / "test_image.npy").unlink()
  conversion.write(half, "made", SPEC, arrays_of())
  assert (half / "test_image.npy").read_bytes() == (folder / "test_image.npy").read_bytes()


def cut_off(folder):
  content = (folder / "train_image.npy").read_bytes()
  (folder / "train_image.npy").write_bytes(content[:-1])


def cut_off_in_the_head(folder):
  (folder / "train_image.npy").write_bytes((folder / "train_image.npy").read_bytes()[:50])


def with_a_changed_byte(folder):
  content = bytearray((folder / "test_image.npy").read_bytes())
  content[-5] ^= 1
  (folder / "test_image.npy").write_bytes(content)


def with_more_behind(folder):
  with open(folder / "train_label.npy", "ab") as file:
    file.write(b"1234")


def of_another_type(folder):
  np.save(folder / "train_label.npy", np.load(folder / "train_label.npy").astype(np.int64))


def with_a_changed_manifest(folder):
  text = (folder / "manifest.json").read_text()
  (folder / "manifest.json").write_text(text.replace('"classes": 3', '"classes": 4'))


@pytest.mark.parametrize(
  ("damage", "complaint"),
  [
    (lambda folder: (folder / "manifest.json").unlink(), "holds no manifest.json.* convert --data"),
    (with_a_changed_manifest, "manifest.json is damaged or was changed; put it back"),
    (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is damaged"),
    (lambda folder: (folder / "test_label.npy").unlink(), r"test_label.npy .*\(it is not there\)"),
    (cut_off, "train_image.npy cannot be mapped .* cut off"),
    (cut_off_in_the_head, "train_image.npy cannot be mapped .* cut off"),
    (with_a_changed_byte, "test_image.npy is damaged: its checksum is not the manifest's"),
    (with_more_behind, "train_label.npy has 252 bytes, which are not those of its array"),
    (of_another_type, r"train_label.npy is int64 \[30\], and its manifest says int32 \[30\]"),
  ],
)
def test_a_damaged_set_is_refused(folder, damage, complaint):
  loaded(folder)
  damage(folder)
  sets.own._read.cache_clear()
  with pytest.raises(UserError, match=complaint) as refusal:
    loaded(folder)
  assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
  ("changed", "spec", "complaint"),
  [
    (arrays_of(classes=4), SPEC, "label 3 of example 3 is none of the set's 3 classes, 0 to 2"),
    ({"train_image": arrays_of()["train_image"]}, SPEC, "the test part holds nothing"),
    (
      arrays_of() | {"train_label": arrays_of({"train": 29})["train_label"]},
      SPEC,
      "the train part holds 30 of image, 29 of label; each field needs as many",
    ),
    (
      arrays_of() | {"test_image": Rows((9, 2), np.dtype(np.int64), lambda a, b: np.ones((9, 2)))},
      SPEC,
      "test_image.npy is int64; images are uint8, uint16, float32",
    ),
    (
      arrays_of() | {"test_label": Rows((9,), np.dtype(np.int16), lambda a, b: np.ones(9))},
      SPEC,
      r"test_label.npy is int16 \[9\]; labels are int32 \[examples\]",
    ),
  ],
)
def test_arrays_that_are_no_set_are_refused(tmp_path, changed, spec, complaint):
  with pytest.raises(UserError, match=complaint):
    conversion.write(tmp_path / "set", "made", spec, changed)


def test_a_folder_with_anything_else_is_left_alone(tmp_path, folder):
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine" / "train_image.npy").write_text("mine")
  with pytest.raises(UserError, match=r"holds train_image.npy; give a new folder"):
    conversion.write(tmp_path / "mine", "made", SPEC, arrays_of())
  assert (tmp_path / "mine" / "train_image.npy").read_text() == "mine"
  with pytest.raises(UserError, match=r"was made of made as it was then, and not of this other"):
    conversion.write(folder, "other", SPEC, arrays_of())
  with pytest.raises(UserError, match="as it was then"):
    conversion.write(folder, "made", SPEC, arrays_of(), {"a.png": "another digest"})
  (tmp_path / "file").write_text("mine")
  with pytest.raises(UserError, match="cannot be written: File exists"):
    conversion.write(tmp_path / "file", "made", SPEC, arrays_of())


def test_a_disk_that_is_short_is_refused_before_anything_is_written(tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=100)
  monkeypatch.setattr(conversion.shutil, "disk_usage", lambda path: usage)
  with pytest.raises(DiskFullError, match=r"would take 0.0 MB more, and 0.0 MB are free"):
    conversion.write(tmp_path / "set", "made", SPEC, arrays_of())
  assert not (tmp_path / "set").exists()


def test_a_checksum_is_that_of_the_bytes_however_they_lie(folder, monkeypatch):
  monkeypatch.setattr(npy_sets, "BLOCK", 64)
  image = loaded(folder).train["image"]
  held = json.loads((folder / "manifest.json").read_text())["files"]["train_image.npy"]["crc32"]
  for array in (image, np.asarray(image).copy(), np.asfortranarray(image)):
    assert npy_sets.checksum(array) == held
  for part in (image[3:], image[::2], image[::-1]):
    assert npy_sets.checksum(part) == npy_sets.checksum(np.array(part)) != held


def test_chosen_examples_of_a_large_array_are_read_when_they_are_asked_for(folder, monkeypatch):
  image = loaded(folder).train["image"]
  is_chosen = np.arange(30) % 3 == 1
  assert isinstance(npy_sets.chosen(image, is_chosen), np.ndarray)
  monkeypatch.setattr(npy_sets, "BLOCK", 64)
  rows, expected = npy_sets.chosen(image, is_chosen), np.array(image)[is_chosen]
  assert isinstance(rows, npy_sets.MappedRows)
  for name in ("shape", "dtype", "ndim", "nbytes"):
    assert getattr(rows, name) == getattr(expected, name)
  twice = np.array([[3, 1], [0, 9]])
  for ours, theirs in (
    (rows, expected),
    (rows[2:5], expected[2:5]),
    (rows[4], expected[4]),
    (rows[twice], expected[twice]),
    (rows.take(twice), expected[twice]),
    (list(rows), expected),
  ):
    np.testing.assert_array_equal(np.asarray(ours), theirs)
  assert len(rows) == 10 and npy_sets.checksum(rows) == npy_sets.checksum(expected)
  assert rows.equals(npy_sets.chosen(image, is_chosen))
  assert not rows.equals(npy_sets.chosen(image, ~is_chosen))
  assert not rows.equals(npy_sets.chosen(loaded(folder).test["image"], np.ones(9, bool)))
