"""The figures of a run as files: PNG and SVG, for narrow screens another SVG, and GIF for films."""

from collections.abc import Sequence
from pathlib import Path

from research.figures.rendering import as_narrow_svg, as_png, as_svg
from research.report import Picture
from research.store.files import write_atomically

STILL = ".png"


def write(folder: Path, pictures: Sequence[Picture]) -> list[tuple[Path, str]]:
  """Writes pictures to a folder; returns the PNG or GIF of each, and its caption.

  Files of an older version of the pictures that are not written anew are removed. The figures are
  changed by it, and are of no further use.
  """
  folder.mkdir(exist_ok=True)
  found, written = [], set()
  for picture in pictures:
    path = folder / picture.file_name
    files = {path: as_png(picture.figure)}
    if path.suffix == STILL:
      files[path.with_suffix(".svg")] = as_svg(picture.figure)
      if narrow := as_narrow_svg(picture.figure):
        files[path.with_suffix(".narrow.svg")] = narrow
    for file, content in files.items():
      write_atomically(file, content)
    written |= set(files)
    found.append((path, picture.caption))
  for old in set(folder.glob("*.svg")) - written:
    old.unlink()
  return found
