"""The 1,797 handwritten 8x8 digits of UCI that ship inside scikit-learn: no network, no files."""

import numpy as np

from research.data import stratify
from research.data.spec import Arrays, Spec

SPEC = Spec("digits", (8, 8, 1), 10, train_size=1437, test_size=360)
BRIGHTEST = 16  # scikit-learn counts the set pixels of 4x4 cells: 0 .. 16


def load() -> tuple[Arrays, Arrays]:
  """The (train, test) arrays; the same stratified 360 test images every time."""
  from sklearn.datasets import load_digits

  bunch = load_digits()
  image = np.round(bunch.images[..., None] * (255 / BRIGHTEST)).astype(np.uint8)
  label = bunch.target.astype(np.int32)
  test = stratify.draw(label, SPEC.test_size, seed=0)
  return {"image": image[~test], "label": label[~test]}, {
    "image": image[test],
    "label": label[test],
  }
