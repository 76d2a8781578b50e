"""One image file as an array, whatever its format, depth, colours and orientation.

`read_image` is a pure function of the file and a shape: training and prediction call the same one.
"""

import contextlib
import warnings
from collections.abc import Iterator
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


class Look(NamedTuple):
  """The facts of an image that its header tells: pixels as it is to be seen, and colour."""

  height: int
  width: int
  is_colour: bool


def look(file: Path) -> Look:
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


def read_image(file: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "height width channel"]:
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


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
  """An image whose pixels are not decoded yet; what goes wrong with it is a UserError."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of large images, which are refused here, and of odd EXIF
      with PIL.Image.open(file) as image:
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
    is_empty = file.is_file() and not file.stat().st_size
    reason = "the file is empty" if is_empty else str(error).split("\n", maxsplit=1)[0]
    raise UserError(
      f"{file} is no image that can be read ({reason}); mend it or take it out"
    ) from error


def _is_colour(image: Any) -> bool:
  """Tells whether any pixel can differ in its red, green and blue."""
  if image.mode == "P":
    palette = np.array(image.getpalette("RGB") or [0], np.uint8)
    return bool(np.ptp(palette.reshape(-1, 3), axis=1).any()) if len(palette) > 1 else False
  return image.mode not in ("1", "L", "LA", "La", "F", *DEEP_GREY)


def _eight_bits(image: Any, file: Path) -> Any:
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
