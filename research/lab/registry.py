"""The experiments that there are, read from their files without importing them.

An experiment is one module under `experiments/<family>/`. Its docstring's first line is its
summary, and it holds `Config` and either `training(config, seed)` and `report(config, fit)`, or
`run(config, lab)`; or `run` and a `training` that a sweep repeats and `--evaluate` reads.
"""

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from research.errors import UserError, unknown_name

ROOT = Path(__file__).parent.parent.parent / "experiments"


class Entry(NamedTuple):
  """One experiment."""

  name: str
  family: str
  docstring: str

  @property
  def summary(self) -> str:
    """The docstring's first line."""
    return self.docstring.strip().splitlines()[0] if self.docstring.strip() else ""


def catalogue(root: Path = ROOT) -> dict[str, Entry]:
  """All experiments by name, family by family."""
  entries = {}
  for path in sorted(root.glob("*/*.py")):
    if path.stem != "__init__":
      try:
        module = ast.parse(path.read_text(encoding="utf-8"))
        docstring = (ast.get_docstring(module, clean=False) or "").strip()  # indented as written
      except (SyntaxError, ValueError) as error:  # somebody is editing it; the others still run
        docstring = f"(cannot be read: {error})"
      entries[path.stem] = Entry(path.stem, path.parent.name, docstring)
  return entries


def select(name: str, root: Path = ROOT) -> list[Entry]:
  """The experiment of that name, all of the family of that name, or "all".

  Raises:
    UserError: with the nearest names.
  """
  entries = catalogue(root)
  chosen = [entry for entry in entries.values() if name in (entry.name, entry.family, "all")]
  if not chosen:
    names = [*entries, *dict.fromkeys(entry.family for entry in entries.values())]
    raise UserError(unknown_name(name, names, "experiment") + " (--list shows them all)")
  return chosen


def load(entry: Entry) -> ModuleType:
  """Imports an experiment and checks that it is one.

  Raises:
    UserError: when something that an experiment needs is missing in the module.
  """
  module = importlib.import_module(f"experiments.{entry.family}.{entry.name}")
  needs = ["Config"] if hasattr(module, "run") else ["Config", "training", "report"]
  missing = [name for name in needs if not hasattr(module, name)]
  if missing:
    raise UserError(f"experiment {entry.name} has no {' and no '.join(missing)} in its module")
  return module


def listing(entries: list[Entry]) -> str:
  """The catalogue as text, one line an experiment."""
  width = max(len(entry.name) for entry in entries)
  lines: list[str] = []
  for entry in entries:
    heading = f"{entry.family}:"
    if heading not in lines:
      lines.append(heading)
    lines.append(f"  {entry.name:<{width}}  {entry.summary}")
  return "\n".join(lines)
