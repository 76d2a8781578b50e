"""Any TFDS data set by the name tfds:NAME, read from array_record files without TensorFlow."""

import io
import time
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from research.batch import inputs_of
from research.data import sets
from research.errors import DataUnavailableError, UserError


class Shapes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Images without a channel axis, text, and boxes whose number varies."""

  name = "lineage_shapes"
  VERSION = tfds.core.Version("2.0.0")
  BUILDER_CONFIGS: ClassVar = [
    tfds.core.BuilderConfig(name="small", description="train and test"),
    tfds.core.BuilderConfig(name="loose", description="images of varying height"),
  ]

  def _info(self):
    height = None if self.builder_config.name == "loose" else 6
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Tensor(shape=(height, 5), dtype=np.uint8),
          "label": tfds.features.ClassLabel(num_classes=3),
          "angle": np.float32,
          "caption": tfds.features.Text(),
          "boxes": tfds.features.Sequence(tfds.features.Tensor(shape=(4,), dtype=np.float32)),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples(1205), "test": self._generate_examples(10)}

  def _generate_examples(self, n):
    for i in range(n):
      height = 6 + i % 2 if self.builder_config.name == "loose" else 6
      yield (
        i,
        {
          "image": np.full((height, 5), i % 256, np.uint8),
          "label": i % 3,
          "angle": i / 2,
          "caption": f"the {i}th\0",
          "boxes": np.zeros((i % 4, 4), np.float32),
        },
      )


def prepare(folder, config="small"):
  builder = Shapes(config=config, data_dir=folder, file_format="array_record")
  tfds.disable_progress_bar()
  builder.download_and_prepare()
  return str(folder)


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
  return prepare(tmp_path_factory.mktemp("tfds"))


def test_features_that_make_arrays_come_by_their_names(tfds_dir):
  train, validation, test = sets.load(
    "tfds:lineage_shapes/small", data_dir=tfds_dir, validation=0.2
  )
  assert train["image"].shape == (964, 6, 5, 1) and train["image"].dtype == np.uint8
  assert train["label"].dtype == np.int32 and len(validation["label"]) == 241
  assert train["angle"].dtype == np.float32
  assert set(train) == {"image", "label", "angle", "caption"}  # the boxes vary in number
  assert test["caption"].shape == (10,) and test["caption"][0].endswith(b"th\0")
  # Each example stays together, across the read's chunks.
  both = {key: np.concatenate([train[key], validation[key]]) for key in train}
  numbers = (2 * both["angle"]).astype(int)
  assert sorted(numbers) == list(range(1205))
  np.testing.assert_array_equal(both["image"][:, 0, 0, 0], numbers % 256)
  np.testing.assert_array_equal(both["label"], numbers % 3)


def test_spec_reads_the_metadata_alone(tfds_dir):
  spec = sets.spec("tfds:lineage_shapes/small", data_dir=tfds_dir)
  assert spec == sets.Spec("tfds:lineage_shapes/small", (6, 5, 1), 3, 1205, 10)


def test_images_of_varying_shape_are_refused(tmp_path):
  with pytest.raises(UserError, match="differ in shape"):
    sets.load("tfds:lineage_shapes/loose", data_dir=prepare(tmp_path, "loose"))


@pytest.mark.parametrize("reader", [sets.spec, sets.load])
def test_a_known_set_that_is_not_prepared_is_refused_at_once(reader, tmp_path):
  start = time.perf_counter()
  with pytest.raises(DataUnavailableError, match=r"tfds:mnist is not prepared in .*--data_dir"):
    reader("tfds:mnist", data_dir=str(tmp_path))
  assert time.perf_counter() - start < 20  # TFDS's own way takes 204 s


@pytest.mark.parametrize(
  "name", ["tfds:no_such_set", "tfds:lineage_shapes/huge", "tfds:a b", "tfds:x:y:z"]
)
def test_a_set_unknown_to_tfds_is_one_line(name, tfds_dir):
  with pytest.raises(UserError) as caught:
    sets.load(name, data_dir=tfds_dir)
  assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_format_that_needs_tensorflow_is_refused(tfds_dir, monkeypatch):
  # TensorFlow writes no files here, so the sign that TFDS gives for its format is imitated.
  def as_data_source(*_args, **_kwargs):
    raise NotImplementedError("Random access data source for file format TFRECORD ...")

  monkeypatch.setattr(tfds.core.DatasetBuilder, "as_data_source", as_data_source)
  with pytest.raises(UserError, match="array_record"):
    sets.load("tfds:lineage_shapes/small", data_dir=tfds_dir)


def png(array):
  """A PNG file; of an array TFDS makes one through TensorFlow alone."""
  file = io.BytesIO()
  PIL.Image.fromarray(array).save(file, "PNG")
  return io.BytesIO(file.getvalue())


class Own(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Sets as people prepare them: splits missing, shapes not told, labels that are plain numbers."""

  name = "lineage_own"
  VERSION = tfds.core.Version("1.0.0")
  SPLITS: ClassVar = {
    "validated": {"train": 40, "validation": 10},
    "alone": {"train": 41},
    "whole": {"train": 40, "validation": 10, "test": 5},
    "deep": {"train": 20},
  }
  BUILDER_CONFIGS: ClassVar = [
    tfds.core.BuilderConfig(name=name, description=name) for name in SPLITS
  ]

  def _info(self):
    image = tfds.features.Image(shape=(None, None, 3))
    if self.builder_config.name == "deep":
      image = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
    features = {"image": image, "label": np.int64}
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

  def _split_generators(self, dl_manager):
    splits = self.SPLITS[self.builder_config.name]
    return {name: self._generate_examples(name, n) for name, n in splits.items()}

  def _generate_examples(self, split, n):
    for i in range(n):
      image = np.full((6, 5, 3), 10 * len(split) + i % 4, np.uint8)
      if self.builder_config.name == "deep":
        image = np.full((6, 5), 1000 * i, np.uint16)
      yield i, {"image": png(image), "label": i % 4}


@pytest.fixture(scope="module")
def own_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("own")
  tfds.disable_progress_bar()
  for name in Own.SPLITS:
    Own(config=name, data_dir=folder, file_format="array_record").download_and_prepare()
  return str(folder)


@pytest.mark.parametrize(
  ("name", "asked", "sizes", "test_value"),
  [
    ("validated", 0, (40, 0, 10), 100),  # its validation split is the test set
    ("validated", 8, (32, 8, 10), 100),
    ("alone", 0, (37, 0, 4), 50),  # a tenth of the training split is
    ("alone", 7, (30, 7, 4), 50),
    ("whole", 0, (40, 0, 5), 40),
    ("whole", 7, (40, 10, 5), 40),  # its own validation split, whole
  ],
)
def test_own_sets_without_a_test_split_have_a_test_set(own_dir, name, asked, sizes, test_value):
  parts = sets.load(f"tfds:lineage_own/{name}", data_dir=own_dir, validation=asked)
  assert tuple(len(part["label"]) for part in parts) == sizes
  assert (parts.test["image"] // 10 * 10 == test_value).all()
  spec = sets.spec(f"tfds:lineage_own/{name}", data_dir=own_dir)
  assert spec[1:5] == (
    (6, 5, 3),
    4,
    sets.load(spec.name, data_dir=own_dir).train["label"].size,
    sizes[2],
  )
  again = sets.load(f"tfds:lineage_own/{name}", data_dir=own_dir, validation=asked, seed=9)
  np.testing.assert_array_equal(again.test["image"], parts.test["image"])
  for part in parts:  # images stay with their labels, and each class is there
    np.testing.assert_array_equal(part["image"][:, 0, 0, 0] % 10, part["label"])
  assert set(parts.test["label"]) == set(range(4))


def test_grey_images_of_16_bits_need_no_opencv(own_dir):
  train, _, test = sets.load("tfds:lineage_own/deep", data_dir=own_dir)
  both = np.concatenate([train["image"], test["image"]])
  assert both.dtype == np.uint16 and both.shape == (20, 6, 5, 1)
  assert sorted(both[:, 0, 0, 0]) == list(range(0, 20_000, 1000))
  assert sets.spec("tfds:lineage_own/deep", data_dir=own_dir)[1:5] == ((6, 5, 1), 4, 18, 2)
  scaled = inputs_of({"image": jnp.array([0, 13107, 65535], jnp.uint16)})
  np.testing.assert_allclose(scaled, [0, 0.2, 1], rtol=1e-6)


def test_the_folder_of_the_environment_is_a_tfds_folder_too(own_dir, monkeypatch):
  monkeypatch.setenv("LINEAGE_DATA_DIR", own_dir)
  assert sets.spec("tfds:lineage_own/alone").train_size == 37
  assert len(sets.load("tfds:lineage_own/alone").test["label"]) == 4
