"""The experiments that there are, read from their files without importing them.

An experiment is one module under `experiments/<family>/`. Its docstring's first line is its
summary, and it ends with `experiment`, a `research.lab.experiment.Experiment`.
"""

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from research.errors import UserError, unknown_name

if TYPE_CHECKING:  # it imports JAX, which a listing does without
  from research.lab.experiment import Experiment

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


def load(entry: Entry) -> "Experiment":
  """Imports an experiment.

  Raises:
    UserError: where the module holds none.
  """
  module = importlib.import_module(f"experiments.{entry.family}.{entry.name}")
  experiment: Experiment | None = vars(module).get("experiment")
  if experiment is None:
    raise UserError(
      f"{module.__file__} holds no experiment; end it with "
      "`experiment = single_fit(Config, training, report)` or `Experiment(Config, run)`"
    )
  return experiment._replace(name=entry.name)


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
