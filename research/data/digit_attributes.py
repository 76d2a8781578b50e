"""Yes-or-no questions about images of handwritten digits: what they are, and how written."""

import numpy as np
from jaxtyping import Float, Int, UInt8

from research.data import painting
from research.data.spec import Arrays

DIGITS = {
  "even": (0, 2, 4, 6, 8),
  "above 4": (5, 6, 7, 8, 9),
  "prime": (2, 3, 5, 7),
  "with a loop": (0, 6, 8, 9),
  "multiple of 3": (0, 3, 6, 9),
  "with a straight line": (1, 4, 5, 7),
}
STYLES = ("bold", "slanted")
NAMES = ("even", "above 4", *STYLES, *list(DIGITS)[2:])  # of the questions, in their order
Images = UInt8[np.ndarray, "image height width 1"]


def ink(images: Images) -> Float[np.ndarray, " image"]:
  """The sum of an image's pixels, in [0, 1] each."""
  return images.sum(axis=(1, 2, 3)) / 255.0


def slant(images: Images) -> Float[np.ndarray, " image"]:
  """Columns by which the ink moves to the right from a row to the next one above.

  It is the slope of the regression of an ink's column on its row; 0 for ink in a single row.
  """
  share = images[..., 0] / np.maximum(ink(images) * 255, 1)[:, None, None]
  rows, columns = np.mgrid[: images.shape[1], : images.shape[2]]
  mean = lambda values: np.sum(share * values, axis=(1, 2))
  row, column = mean(rows), mean(columns)
  spread = mean(rows**2) - row**2
  together = mean(rows * columns) - row * column
  return np.divide(-together, spread, out=np.zeros_like(spread), where=spread > 1e-9)


def answers(
  images: Images, labels: Int[np.ndarray, " image"], least_ink: float, least_slant: float
) -> Float[np.ndarray, "image question"]:
  """1.0 for yes and 0.0 for no, to the questions of `NAMES`.

  Args:
    images: of single digits.
    labels: their digits.
    least_ink: above which an image is bold.
    least_slant: above which it is slanted.
  """
  found = {name: np.isin(labels, digits) for name, digits in DIGITS.items()}
  found |= {"bold": ink(images) > least_ink, "slanted": slant(images) > least_slant}
  return np.stack([found[name] for name in NAMES], axis=1).astype(np.float32)


def asked(train: Arrays, test: Arrays) -> tuple[Arrays, Arrays]:
  """Both sets at half the resolution, with answers; the medians of `train` say what is bold.

  Returns:
    {"image": uint8 [n, height / 2, width / 2, 1], "answers": float32 [n, questions]} of each.
  """
  medians = [float(np.median(of(train["image"]))) for of in (ink, slant)]

  def both(data: Arrays) -> Arrays:
    found = answers(data["image"], data["label"], *medians)
    return {"image": painting.halved(data["image"]).astype(np.uint8), "answers": found}

  return both(train), both(test)
