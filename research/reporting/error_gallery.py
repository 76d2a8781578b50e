"""Examples of a diagnosed run as a part of a page: pictures in tiles, or the rows of a table."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from research.lab.prediction import INPUT
from research.lab.run_diagnosis import RunDiagnosis
from research.reporting.page import line, table, tiles


def gallery(found: RunDiagnosis, chosen: Int[np.ndarray, " chosen"], says: Sequence[str]) -> str:
  """The chosen examples of the examined set, numbered from 1, each with what is said of it."""
  if not len(chosen):
    return ""
  images = np.asarray(found.data[INPUT])[chosen]
  places = ["/".join(Path(found.places[each]).parts[-2:]) for each in chosen]
  if images.ndim == 4 and images.shape[-1] in (1, 3):
    words = [_words(n, *each) for n, each in enumerate(zip(says, places, strict=True), 1)]
    return tiles(_pngs(images), words)
  shown = {name: column[chosen] for name, column in found.columns.items()}
  rows = [
    line(
      [str(number + 1), says[number], places[number], *(_cell(c[number]) for c in shown.values())]
    )
    for number in range(len(chosen))
  ]
  return table(("no.", "label → answer", "place", *shown), rows)


def _words(number: int, says: str, place: str) -> str:
  return f"{number}. {says}" + f"\n{place}" * bool(place)


def _cell(value: object) -> str:
  return value if isinstance(value, str) else f"{value:.6g}"


def _pngs(images: np.ndarray) -> list[bytes]:
  """PNG files of images, all on one scale where they are no bytes."""
  import PIL.Image  # takes a while

  if images.dtype != np.uint8:
    low, high = float(images.min()), float(images.max())
    images = np.rint(255 * (images - low) / ((high - low) or 1.0)).astype(np.uint8)
  made = []
  for image in images:
    file = io.BytesIO()
    PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    made.append(file.getvalue())
  return made
