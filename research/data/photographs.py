"""Photographs that scikit-learn ships, and the user's own, as squares.

china is a pagoda of the Summer Palace in Beijing and flower a dahlia, 427 x 640 pixels each.
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from research.data.image_files import read_image
from research.errors import UserError

SHIPPED = ("china", "flower")


def load(name: str, size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
  """The middle square of a photograph, scaled to so many pixels on a side.

  Args:
    name: one of `SHIPPED`, or the path of an image file.
    size: of a side.

  Raises:
    UserError: no file is there, or it is no image that can be read.
  """
  if name in SHIPPED:
    return _square(_folder() / f"{name}.jpg", size, 0)
  file = Path(name).expanduser()
  if not file.is_file():
    raise UserError(f"there is no picture {name}; give {' or '.join(SHIPPED)}, or an image file")
  return _square(file, size, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _square(file: Path, size: int, mtime_ns: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
  del mtime_ns  # a file that has changed is read again
  return read_image(file, (size, size, 3))


def _folder() -> Path:
  import sklearn.datasets

  return Path(sklearn.datasets.__file__).parent / "images"
