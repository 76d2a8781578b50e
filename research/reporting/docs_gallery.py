"""The figures of verified experiments, a page for each family, beside RESULTS.md."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from research.errors import UserError
from research.lab import registry
from research.report import PICTURES
from research.store.files import write_atomically, write_json

COLOURS = 128  # of a still's copy; figures are drawn in few, and a film is small already


def renew(gallery: Path, entry: registry.Entry, runs: Sequence[Path]) -> None:
  """Puts the figures of finished runs into the gallery, in place of the experiment's older ones.

  Args:
    gallery: the folder of the pages.
    entry: the experiment.
    runs: the folders of the runs, whose figures have different names.
  """
  own = gallery / entry.name
  for old in own.glob("*") if own.is_dir() else ():
    if old.suffix in PICTURES:
      old.unlink()
  own.mkdir(parents=True, exist_ok=True)
  captions: dict[str, str] = {}
  for run in runs:
    drawn = json.loads((run / "figures" / "captions.json").read_text())
    for name in drawn:
      picture = _picture(run / "figures", name)
      write_atomically(own / picture.name, _copy(picture))
    captions |= drawn
  write_json(own / "captions.json", captions)
  if not captions:  # nothing is drawn any more, and an empty place says nothing
    (own / "captions.json").unlink()
    own.rmdir()
  write_atomically(gallery / f"{entry.family}.md", _page(gallery, entry))


def _picture(folder: Path, name: str) -> Path:
  """The file of a picture, whichever of the kinds it is.

  Raises:
    UserError: where the picture that a captions.json names is gone.
  """
  files = [path for kind in PICTURES if (path := folder / f"{name}{kind}").exists()]
  if not files:
    raise UserError(f"{folder}/captions.json names {name}, and no such picture is there")
  return files[0]


def _copy(picture: Path) -> bytes:
  """A film as it is, a still in few colours."""
  if picture.suffix == ".gif":
    return picture.read_bytes()
  small = io.BytesIO()
  with Image.open(picture) as image:
    image.convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
  return small.getvalue()


def _page(gallery: Path, renewed: registry.Entry) -> str:
  family = renewed.family
  parts = [
    f"# {family.capitalize()}\n\nWhat the runs behind [RESULTS.md](../../RESULTS.md) drew.\n"
  ]
  catalogue = registry.catalogue()
  entries = catalogue if renewed.name in catalogue and not renewed.is_file else registry.installed()
  for entry in [renewed] if renewed.is_file else entries.values():
    path = gallery / entry.name / "captions.json"
    if entry.family != family or not path.exists():
      continue
    parts.append(f"## {entry.name}\n\n{entry.summary}\n")
    for name, caption in json.loads(path.read_text()).items():
      link = f"{entry.name}/{_picture(path.parent, name).name}"
      parts.append(f"![{name.replace('_', ' ')}]({link})\n\n{caption}\n")
  return "\n".join(parts)
