"""Any TFDS data set by the name tfds:NAME, read from array_record files without TensorFlow."""

import time
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

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


@pytest.mark.parametrize("door", [sets.spec, sets.load])
def test_a_known_set_that_is_not_prepared_is_refused_at_once(door, tmp_path):
  start = time.perf_counter()
  with pytest.raises(DataUnavailableError, match=r"tfds:mnist is not prepared in .*--data_dir"):
    door("tfds:mnist", data_dir=str(tmp_path))
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
