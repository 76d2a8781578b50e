"""Places where a reader finds an experiment's source: its file, its systems and their chapters."""

import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

from research.lab import process

INVENTORY = process.ROOT / "docs" / "inventory.md"
ROW = re.compile(r"^\| ([A-Z]\d\d) \| (.+?) \| (.+?) \| (.+?) \|$")
EXPERIMENT = re.compile(r"experiments/\w+/(\w+)\.py")
CHAPTER = re.compile(r"\b(d2l|Nielsen)\)?[^;]*? ch\. (\d+)")
NIELSEN = "http://neuralnetworksanddeeplearning.com/chap{}.html"
D2L = "https://d2l.ai/chapter_{}/index.html"
D2L_CHAPTERS = {
  3: "linear-regression",
  4: "linear-classification",
  5: "multilayer-perceptrons",
  7: "convolutional-neural-networks",
  8: "convolutional-modern",
  9: "recurrent-neural-networks",
  10: "recurrent-modern",
  11: "attention-mechanisms-and-transformers",
  12: "optimization",
  14: "computer-vision",
  17: "reinforcement-learning",
  19: "hyperparameter-optimization",
}


class System(NamedTuple):
  """A row of the inventory.

  Attributes:
    id: as claims cite it.
    title: of the system.
    source: the books and papers, as text.
    experiments: by name; none where it is not built yet.
    section: heading under which it stands.
  """

  id: str
  title: str
  source: str
  experiments: tuple[str, ...]
  section: str


def rows(inventory: str) -> list[System]:
  """The rows of the tables in the inventory's text, in order."""
  found, section = [], ""
  for line in inventory.splitlines():
    if line.startswith("## "):
      section = line.removeprefix("## ")
    elif row := ROW.match(line):
      id, title, source, experiments = row.groups()
      found.append(System(id, title, source, tuple(EXPERIMENT.findall(experiments)), section))
  return found


def systems(ids: Iterable[str], inventory: Path = INVENTORY) -> list[System]:
  """The systems of these ids, as the inventory has them; none without it."""
  try:
    held = {row.id: row for row in rows(inventory.read_text(encoding="utf-8"))}
  except OSError:  # an installed package comes without it
    return []
  return [held[id] for id in dict.fromkeys(ids) if id in held]


def source_with_links(source: str) -> str:
  """A source as HTML, in which the chapters of books that are on the web are links."""

  def link(found: re.Match[str]) -> str:
    book, number = found[1], int(found[2])
    if book == "Nielsen":
      address = NIELSEN.format(number)
    elif number in D2L_CHAPTERS:
      address = D2L.format(D2L_CHAPTERS[number])
    else:
      return found[0]
    return f'<a href="{address}">{found[0]}</a>'

  return CHAPTER.sub(link, escape(source.replace("*", "")))


def about(file: Path | None, ids: Iterable[str], folder: Path) -> str:
  """The lines of a page in `folder` on the experiment's file and its books, as HTML.

  Links to files are relative, and hold as long as the page stays where it is.
  """
  lines = []
  if file is not None:
    is_ours = file.is_relative_to(process.ROOT)
    name = file.relative_to(process.ROOT).as_posix() if is_ours else file.name
    lines.append(f"Source: {_link(file, name, folder)}")
  found = systems(ids)
  if found:
    sources = dict.fromkeys(system.source for system in found)
    lines.append("To read: " + "; ".join(map(source_with_links, sources)))
    names = ", ".join(f"{system.id} {escape(system.title)}" for system in found)
    lines.append(f"Systems: {names}")
  return "".join(f"<p>{line}</p>" for line in lines)


def inventory_link(folder: Path) -> str:
  """A link from a page in `folder` to the inventory, after a space; "" where it is not there."""
  return f" ({_link(INVENTORY, 'docs/inventory.md', folder)})" if INVENTORY.exists() else ""


def _link(file: Path, name: str, folder: Path) -> str:
  address = Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
  return f'<a href="{escape(address)}">{escape(name)}</a>'
