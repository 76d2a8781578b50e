"""The figures of verified experiments, a page for each family, beside RESULTS.md."""

import io
import json
from pathlib import Path

from PIL import Image

from research.lab import catalogue
from research.lab.files import write_atomically, write_json

COLOURS = 128  # of a copy; figures are drawn in few


def renew(gallery: Path, entry: catalogue.Entry, run: Path) -> None:
  """Puts the figures of a finished run into the gallery, in place of the experiment's older ones.

  Args:
    gallery: the folder of the pages.
    entry: the experiment.
    run: the folder of the run.
  """
  captions = json.loads((run / "figures" / "captions.json").read_text())
  own = gallery / entry.name
  for old in own.glob("*.png") if own.is_dir() else ():
    old.unlink()
  own.mkdir(parents=True, exist_ok=True)
  for name in captions:
    small = io.BytesIO()
    with Image.open(run / "figures" / f"{name}.png") as image:
      image.convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
    write_atomically(own / f"{name}.png", small.getvalue())
  write_json(own / "captions.json", captions)
  write_atomically(gallery / f"{entry.family}.md", _page(gallery, entry.family))


def _page(gallery: Path, family: str) -> str:
  parts = [
    f"# {family.capitalize()}\n\nWhat the runs behind [RESULTS.md](../../RESULTS.md) drew.\n"
  ]
  for entry in catalogue.catalogue().values():
    path = gallery / entry.name / "captions.json"
    if entry.family != family or not path.exists():
      continue
    parts.append(f"## {entry.name}\n\n{entry.summary}\n")
    for name, caption in json.loads(path.read_text()).items():
      parts.append(f"![{name.replace('_', ' ')}]({entry.name}/{name}.png)\n\n{caption}\n")
  return "\n".join(parts)
