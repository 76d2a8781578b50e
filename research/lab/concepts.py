"""Concepts that experiments show; a search for words in them, in names and in docstrings."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

FILE = "concepts.toml"  # beside the families


class Concept(NamedTuple):
  """A concept of the field.

  Attributes:
    name: as the field says.
    words: others for it.
    says: what it is, in a sentence.
    experiments: that show it, the clearest first.
  """

  name: str
  words: tuple[str, ...]
  says: str
  experiments: tuple[str, ...]


def concepts(root: Path) -> list[Concept]:
  """The concepts of the catalogue in a folder; none where it says nothing of them."""
  path = root / FILE
  table = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
  return [
    Concept(each["name"], tuple(each["words"]), each["says"], tuple(each["experiments"]))
    for each in table.get("concept", ())
  ]


def about(words: str, texts: Mapping[str, tuple[str, str]], known: Iterable[Concept]) -> list[str]:
  """The names of the experiments that some words are about.

  Those of a concept with all these words come first, then those whose name or family has them, then
  those whose docstring does. Small and capital letters, hyphens and a plural's "s" do not matter.

  Args:
    words: to be found; none find nothing.
    texts: of each experiment by name, its family and its docstring.
    known: the concepts.
  """
  patterns = [re.compile(rf"\b{re.escape(word)}s?\b") for word in _plain(words).split()]
  if not patterns:
    return []
  speaks = lambda text: all(pattern.search(_plain(text)) for pattern in patterns)
  named = [
    name
    for concept in known
    if any(speaks(text) for text in (concept.name, *concept.words))
    for name in concept.experiments
  ]
  named += [name for name, (family, _) in texts.items() if speaks(f"{name} {family}")]
  named += [name for name, (_, docstring) in texts.items() if speaks(docstring)]
  return [name for name in dict.fromkeys(named) if name in texts]


def _plain(text: str) -> str:
  return re.sub(r"[\s_,-]+", " ", text.lower())
