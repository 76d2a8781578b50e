"""Data sets: names, splits, shapes, determinism, and refusals."""

import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from research.data import sets
from research.errors import UserError
from tests.fixtures import tiny_idx


def as_rows(arrays):
  return {image.tobytes() for image in arrays["image"]}


def test_digits_are_the_same_uint8_images_every_time():
  splits = sets.load("digits")
  assert splits.train["image"].shape == (1437, 8, 8, 1)
  assert splits.test["image"].shape == (360, 8, 8, 1)
  assert splits.train["image"].dtype == np.uint8 and splits.train["label"].dtype == np.int32
  assert splits.train["image"].max() == 255
  assert zlib.crc32(splits.test["image"]) == 2900783637
  assert set(np.bincount(splits.test["label"])) <= {35, 36, 37}


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_spec_tells_what_load_gives(name, tiny_mnist, raw_folder):
  tiny_mnist()
  spec = sets.spec(name)
  train, validation, test = sets.load(name, data_dir=str(raw_folder))
  assert train["image"].shape == (spec.train_size, *spec.image_shape)
  assert test["image"].shape == (spec.test_size, *spec.image_shape)
  assert validation["image"].shape == (0, *spec.image_shape) and validation["label"].shape == (0,)
  assert set(np.unique(train["label"])) == set(range(spec.classes))


def test_spec_of_mnist_needs_no_files():
  assert sets.spec("mnist") == sets.Spec("mnist", (28, 28, 1), 10, 60_000, 10_000)
  assert sets.spec("fashion_mnist").image_shape == (28, 28, 1)


@pytest.mark.parametrize(("validation", "count"), [(200, 200), (0.1, 144), (1, 1), (1436, 1436)])
def test_validation_comes_out_of_train_and_overlaps_nothing(validation, count):
  whole, split = sets.load("digits"), sets.load("digits", validation=validation, seed=3)
  assert len(split.validation["label"]) == count
  assert len(split.train["label"]) == 1437 - count
  np.testing.assert_array_equal(split.test["image"], whole.test["image"])
  # The digits' training images are all different, so sets of images tell overlaps.
  assert not as_rows(split.train) & as_rows(split.validation)
  assert as_rows(split.train) | as_rows(split.validation) == as_rows(whole.train)


def test_validation_is_stratified():
  whole, split = sets.load("digits"), sets.load("digits", validation=300, seed=1)
  exact = 300 * np.bincount(whole.train["label"]) / 1437
  assert np.all(np.abs(np.bincount(split.validation["label"]) - exact) < 1)


def test_validation_depends_on_the_seed_alone():
  first, again, other = (sets.load("digits", validation=100, seed=s).validation for s in (5, 5, 6))
  np.testing.assert_array_equal(first["image"], again["image"])
  assert as_rows(first) != as_rows(other)
  assert zlib.crc32(first["label"]) == 2578514108  # the same in every version of NumPy


def test_parts_keep_images_with_their_labels():
  whole = sets.load("digits").train
  label_of = {
    image.tobytes(): label for image, label in zip(whole["image"], whole["label"], strict=True)
  }
  for part in sets.load("digits", validation=0.3, seed=2)[:2]:
    assert [label_of[image.tobytes()] for image in part["image"]] == part["label"].tolist()


@pytest.mark.parametrize("validation", [-1, 1.0, -0.5, float("nan"), float("inf"), True])
def test_an_impossible_validation_is_refused(validation):
  with pytest.raises(UserError, match="validation="):
    sets.load("digits", validation=validation)


def test_a_validation_set_as_large_as_train_is_refused():
  with pytest.raises(UserError, match="validation=1437 leaves none of the 1437"):
    sets.load("digits", validation=1437)


def test_a_negative_seed_and_a_missing_folder_are_refused(tmp_path):
  with pytest.raises(UserError, match="seed=-1"):
    sets.load("digits", validation=1, seed=-1)
  with pytest.raises(UserError, match=r"data_dir=.*nowhere is not a folder"):
    sets.load("mnist", data_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("reader", [sets.spec, sets.load])
@pytest.mark.parametrize("name", ["mnits", "Fashion-MNIST", "", "tfds:", "imagenet"])
def test_an_unknown_name_is_one_line_with_the_names(reader, name):
  with pytest.raises(UserError) as caught:
    reader(name)
  message = str(caught.value)
  assert "\n" not in message and "digits, fashion_mnist, mnist" in message and repr(name) in message
  assert ("did you mean mnist" in message) == (name == "mnits")
  assert ("did you mean fashion_mnist" in message) == (name == "Fashion-MNIST")


def test_importing_the_command_line_imports_nothing_heavy():
  heavy = ("jax", "sklearn", "tensorflow_datasets", "urllib.request")
  code = f"import sys, research.data.sets; print([m for m in {heavy} if m in sys.modules])"
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_sets_are_fetched_whole_and_start_quickly(name, capsys):
  spec = sets.spec(name)
  train, validation, test = sets.load(name, validation=5000)
  assert train["image"].shape == (55_000, 28, 28, 1) and test["image"].shape == (10_000, 28, 28, 1)
  assert np.bincount(validation["label"]).min() >= 450 and spec.classes == 10
  assert "fetching" in capsys.readouterr().err

  start = time.perf_counter()
  sets.load(name)
  assert time.perf_counter() - start < 0.3
  assert capsys.readouterr().err == ""


def test_the_tiny_set_is_what_its_files_say(tiny_mnist, raw_folder):
  tiny_mnist()
  splits = sets.load("mnist", data_dir=str(raw_folder))
  expected = tiny_idx.arrays()
  np.testing.assert_array_equal(splits.train["image"][..., 0], expected["train-images-idx3-ubyte"])
  np.testing.assert_array_equal(splits.test["label"], expected["t10k-labels-idx1-ubyte"])
