"""One image file as an array, whatever its format, depth, colours and orientation.

A file lies on a disk or within another file. `read_image` is a pure function of it and a shape:
training and prediction call the same one.
"""

import collections
import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageOps
from jaxtyping import UInt8

from research.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
LARGEST = 2**26  # pixels; a small file can ask for more than memory holds
DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
ORIENTATION = 0x0112  # the EXIF tag


LONGEST = 64  # pixels on a side, for images that have no size in common
SIZE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})(?:x([13]))?")


class Held(NamedTuple):
  """An image file within another file, and where it stands there, for messages."""

  place: str
  content: bytes

  def __str__(self) -> str:
    return self.place


ImageFile = Path | Held


class Look(NamedTuple):
  """The facts of an image that its header tells: pixels as it is to be seen, and colour."""

  height: int
  width: int
  is_colour: bool


def look(file: ImageFile) -> Look:
  """Reads an image's size and whether it has colours, in most formats from its header alone.

  Raises:
    UserError: where the file is no image that can be read.
  """
  with _opened(file) as image:
    width, height = image.size
    # A PNG without EXIF in front of its pixels would be decoded to look for one behind them.
    can_turn = image.format != "PNG" or "exif" in image.info
    if can_turn and image.getexif().get(ORIENTATION) in TURNED:
      width, height = height, width
    return Look(height, width, _is_colour(image))


def read_image(
  file: ImageFile, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "height width channel"]:
  """Reads an image at a height, a width and 1 or 3 channels.

  The first picture of the file is turned as its EXIF orientation says. 16 bits of grey become 8,
  transparency lies over white. An image of another size is scaled (bilinear, every pixel counting)
  until it covers the shape, and what stands over is cut off evenly on both sides.

  Raises:
    UserError: where the file is no image that can be read.
  """
  height, width, channels = shape
  with _opened(file) as image:
    picture = _over_white(_eight_bits(PIL.ImageOps.exif_transpose(image), file))
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
      picture = PIL.ImageOps.fit(picture, (width, height), PIL.Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels)


def common_shape(files: Sequence[ImageFile], size: str) -> tuple[int, int, int]:
  """The height, width and channels at which to read images, of which there is at least one.

  Args:
    files: the training images.
    size: "HEIGHTxWIDTH", or "HEIGHTxWIDTHx1" and "...x3" for grey and colour. With "" images of one
      size keep it; others get the median height and width, scaled down to at most 64 pixels on
      the longer side. They are grey where none of them has colours.

  Raises:
    UserError: for another size, and an image that cannot be read.
  """
  match = SIZE.fullmatch(size)
  if size and not match:
    raise UserError(f"...@{size} is no size; give HEIGHTxWIDTH such as 32x32, or 32x32x1 for grey")
  if match and match[3]:
    return int(match[1]), int(match[2]), int(match[3])
  looks = [look(file) for file in files]
  channels = 3 if any(each.is_colour for each in looks) else 1
  if match:
    return int(match[1]), int(match[2]), channels
  sizes = np.array([each[:2] for each in looks])
  if (sizes == sizes[0]).all():
    return int(sizes[0, 0]), int(sizes[0, 1]), channels
  middle = np.median(sizes, axis=0)
  height, width = np.maximum(1, np.rint(middle * min(1, LONGEST / middle.max()))).astype(int)
  return int(height), int(width), channels


def read_images(
  files: Sequence[ImageFile], shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "image height width channel"]:
  """Reads images at one shape, on all cores.

  Raises:
    UserError: as `read_image`.
  """
  pixels = np.empty((len(files), *shape), np.uint8)

  def decode(index: int) -> None:
    pixels[index] = read_image(files[index], shape)

  with warnings.catch_warnings():
    # Threads that restore the filters, each for itself, may leave them as another one had set them.
    warnings.simplefilter("ignore")
    with ThreadPoolExecutor(os.cpu_count()) as threads:
      collections.deque(threads.map(decode, range(len(files))), maxlen=0)
  return pixels


@contextlib.contextmanager
def _opened(file: ImageFile) -> Iterator[Any]:
  """An image whose pixels are not decoded yet; what goes wrong with it is a UserError."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of large images, which are refused here, and of odd EXIF
      with PIL.Image.open(io.BytesIO(file.content) if isinstance(file, Held) else file) as image:
        if image.width * image.height > LARGEST:
          raise PIL.Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
        yield image
  except (UserError, MemoryError):
    raise
  except PIL.Image.DecompressionBombError as error:
    raise UserError(
      f"{file}: the image is larger than {LARGEST:,} pixels ({error}); scale it down or take it out"
    ) from error
  except Exception as error:  # decoders raise whatever they stumble over
    is_empty = not file.content if isinstance(file, Held) else _is_empty(file)
    reason = "the file is empty" if is_empty else str(error).split("\n", maxsplit=1)[0]
    raise UserError(
      f"{file} is no image that can be read ({reason}); mend it or take it out"
    ) from error


def _is_empty(file: Path) -> bool:
  return file.is_file() and not file.stat().st_size


def _is_colour(image: Any) -> bool:
  """Tells whether any pixel can differ in its red, green and blue."""
  if image.mode == "P":
    palette = np.array(image.getpalette("RGB") or [0], np.uint8)
    return bool(np.ptp(palette.reshape(-1, 3), axis=1).any()) if len(palette) > 1 else False
  return image.mode not in ("1", "L", "LA", "La", "F", *DEEP_GREY)


def _eight_bits(image: Any, file: ImageFile) -> Any:
  if image.mode == "F":
    raise UserError(f"{file} has floating-point pixels, whose range nothing tells; store integers")
  if image.mode not in DEEP_GREY:
    return image
  deep = np.asarray(image).astype(np.int64)
  return PIL.Image.fromarray(np.clip((deep + 128) // 257, 0, 255).astype(np.uint8))


def _over_white(image: Any) -> Any:
  if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
    return image
  picture = image.convert("RGBA")
  return PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture)
