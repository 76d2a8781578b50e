"""The TFDS builder that turns four raw IDX files into a TFDS data set, without TensorFlow.

Import it late: TFDS takes half a second.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from research.data import idx
from research.data.idx_sets import FILES, IdxSet


class IdxBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
  """Images and labels in the order of the raw files, which lie in TFDS's manual folder."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "The files of the original archives."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder holds the four uncompressed IDX files."
  idx_set: ClassVar[IdxSet]

  def _info(self) -> tfds.core.DatasetInfo:
    spec = self.idx_set.spec
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{spec.name}, proved by the SHA-256 of its IDX files.",
      # Raw tensors read twice as fast as PNG and need no decoder.
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Tensor(shape=spec.image_shape, dtype=np.uint8),
          "label": tfds.features.ClassLabel(num_classes=spec.classes),
        }
      ),
      supervised_keys=("image", "label"),
      homepage=self.idx_set.homepage,
      citation=self.idx_set.citation,
      disable_shuffling=True,  # "the first 300 images" are the same ones as everywhere else
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    return {split: self._generate_examples(dl_manager.manual_dir, split) for split in FILES}

  def _generate_examples(self, folder: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    files = FILES[split]
    images = idx.decode((folder / files.images).read_bytes())
    labels = idx.decode((folder / files.labels).read_bytes())
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield i, {"image": image.reshape(self.idx_set.spec.image_shape), "label": int(label)}


def build(idx_set: IdxSet, raw_folder: Path, data_dir: Path) -> Path:
  """Writes the set as array_record files below `data_dir`; gives the folder of its version."""

  class Builder(IdxBuilder, skip_registration=True):  # type: ignore[call-arg]
    name = idx_set.builder_name

  Builder.idx_set = idx_set
  builder = Builder(data_dir=data_dir, file_format="array_record")
  tfds.disable_progress_bar()
  try:
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(manual_dir=raw_folder)
    )
  finally:
    tfds.enable_progress_bar()
  return Path(builder.data_path)
