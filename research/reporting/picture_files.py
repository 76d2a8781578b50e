"""Figures as files of a run (PNG, SVG, a narrower SVG, GIF for films), and as parts of a page."""

from collections.abc import Sequence
from pathlib import Path

from research.figures.rendering import as_narrow_svg, as_png, as_svg
from research.report import Picture
from research.reporting.page import figure
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


def picture_in(picture: Picture) -> str:
  """A picture in the page, as lines that stay sharp at any size."""
  drawing = as_svg(picture.figure)
  narrow = as_narrow_svg(picture.figure)
  return figure(drawing, "svg+xml", picture.caption, picture.name, narrow)
