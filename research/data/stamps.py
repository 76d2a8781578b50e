"""Photographs of seven families of things, cut out on white, from Debian's package of Tux Paint.

The package tuxpaint-stamps-default has pictures in folders by subject, drawings and photographs. A
photograph here is a picture outside of the folders called cartoon that has a colour of its own for
at least every fourth of its opaque pixels, as drawings have not. The families are folders, or a few
of them. A few subjects are there twice, in two views. They are scaled and cut like the user's own
pictures, on white (`image_files`).
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import PIL.Image

from research.data import cache, image_files, prepared, sources
from research.data.spec import Arrays
from research.errors import UserError
from research.store.files import cache_folder

SIZE = 64  # pixels on a side
OPAQUE = 200  # of 255
COLOURS = 0.25  # of a photograph: distinct ones for each opaque pixel
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
  {
    "birds": ("animals/birds",),
    "mammals": ("animals/mammals", "animals/marsupials"),
    "other animals": ("animals/fish", "animals/shellfish", "animals/insects", "animals/amphibians"),
    "food": ("food",),
    "plants": ("plants",),
    "things": ("household", "hobbies", "sports", "medical"),
    "vehicles": ("vehicles", "military/vehicles"),
  }
)
ARCHIVE = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
INSTEAD = "--dataset=folder:PATH with images of your own"
FOLDER = "usr/share/tuxpaint/stamps"  # within the package
BYTES = 160_880_444
SHA256 = "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"


def _published() -> prepared.OneFile:
  source = sources.debian_archive("tuxpaint-stamps-default")
  return prepared.OneFile("stamps", ARCHIVE, SHA256, BYTES, (source,))


def load(data_dir: str | None = None) -> Arrays:
  """All photographs with their families, in the order of the files' names; there are no parts.

  Returns:
    {"image": uint8 [n, 64, 64, 3], "label": int32 [n], the place in `FAMILIES`}.

  Raises:
    DataUnavailableError: no source of the package can be reached.
    UserError: the cache cannot be written.
  """

  def make(scratch: Path) -> Arrays:
    archive = prepared.fetch(_published(), data_dir, scratch, INSTEAD) / ARCHIVE
    print("stamps: unpacking it, once", file=sys.stderr)
    sources.unpack_debian(archive, scratch / "unpacked")
    return photographs(scratch / "unpacked" / FOLDER)

  return cache.made_once(cache_folder(), "stamps", make)


def photographs(folder: Path) -> Arrays:
  """The photographs of all families in the folder of stamps.

  Raises:
    UserError: for a family without one.
  """
  images, labels = [], []
  for label, (family, parts) in enumerate(FAMILIES.items()):
    files = sorted(file for part in parts for file in (folder / part).rglob("*.png"))
    found = [file for file in files if "cartoon" not in file.parts and is_photograph(file)]
    if not found:
      raise UserError(f"{folder} holds no photograph of {family}; it is not Tux Paint's folder")
    images += [image_files.read_image(file, (SIZE, SIZE, 3)) for file in found]
    labels += [label] * len(found)
  return {"image": np.stack(images), "label": np.array(labels, np.int32)}


def is_photograph(file: Path) -> bool:
  """Tells whether at least every fourth of a picture's opaque pixels has a colour of its own."""
  with PIL.Image.open(file) as image:
    pixels = np.asarray(image.convert("RGBA"))
  opaque = pixels[pixels[..., 3] > OPAQUE][:, :3]
  return len(opaque) > 0 and len(np.unique(opaque, axis=0)) >= COLOURS * len(opaque)
