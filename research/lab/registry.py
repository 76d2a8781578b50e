"""The experiments that there are, read from their files without importing them.

An experiment is one module: under `experiments/<family>/`, a file anywhere, or of an installed
package, which names it as an entry point of the group `lineage.experiments`. Its docstring's first
line is its summary, and it ends with `experiment`, a `research.lab.experiment.Experiment`.
"""

import ast
import importlib
import importlib.machinery
import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from research import experiment_file
from research.errors import MOST_NAMES, UserError, unknown_name
from research.lab.concepts import about, concepts
from research.store.files import as_path

if TYPE_CHECKING:  # it imports JAX, which a listing does without
  from research.lab.experiment import Experiment

ROOT = Path(__file__).parent.parent.parent / "experiments"
GROUP = "lineage.experiments"  # of entry points
HINT = "`experiment = single_fit(Config, training, report)` or `Experiment(Config, run)`"


class Entry(NamedTuple):
  """One experiment.

  Attributes:
    name: of its file, or as an installed package names it.
    family: of the catalogue; of an installed package its name, of a file its own.
    docstring: of its module.
    path: of its file, where that is known.
    module: that is imported; "" for a file outside of the catalogue.
  """

  name: str
  family: str
  docstring: str
  path: Path | None = None
  module: str = ""

  @property
  def flag(self) -> str:
    """The value by which --experiment names it."""
    return str(self.path) if self.is_file else self.name

  @property
  def is_file(self) -> bool:
    """Tells whether it is a file outside of the catalogue and of every package."""
    return self.path is not None and not self.module

  @property
  def summary(self) -> str:
    """The docstring's first line."""
    return self.docstring.strip().splitlines()[0] if self.docstring.strip() else ""


def catalogue(root: Path = ROOT) -> dict[str, Entry]:
  """All experiments by name, family by family."""
  entries = {}
  for path in sorted(root.glob("*/*.py")):
    if path.stem != "__init__":
      module = f"experiments.{path.parent.name}.{path.stem}"
      entries[path.stem] = Entry(path.stem, path.parent.name, _docstring(path), path, module)
  return entries


def installed() -> dict[str, Entry]:
  """The experiments of installed packages by name; of two of one name the first."""
  entries: dict[str, Entry] = {}
  for point in importlib.metadata.entry_points(group=GROUP):
    path = _file_of_module(point.module)
    family = point.dist.name if point.dist else point.module.partition(".")[0]
    docstring = _docstring(path) if path else f"(module {point.module} is not found)"
    entries.setdefault(point.name, Entry(point.name, family, docstring, path, point.module))
  return entries


def of_file(path: Path) -> Entry:
  """The experiment in a file anywhere.

  Raises:
    UserError: where there is no such file.
  """
  if not path.is_file():
    what = "is a folder" if path.is_dir() else "does not exist"
    raise UserError(f"--experiment={path} {what}; give the file of an experiment")
  return Entry(path.stem, path.stem, _docstring(path), path.resolve())


def select(name: str, root: Path = ROOT) -> list[Entry]:
  """The experiment of that name or in that file, all of the family of that name, or "all".

  Where an installed package has an experiment of a name of the catalogue, that of the catalogue is
  meant.

  Raises:
    UserError: with the nearest names.
  """
  if name.endswith(".py") or os.sep in name:
    return [of_file(as_path(name, "--experiment="))]
  entries = catalogue(root)
  chosen = [entry for entry in entries.values() if name in (entry.name, entry.family, "all")]
  chosen = chosen or [entry for entry in installed().values() if name in (entry.name, entry.family)]
  if not chosen:
    names = [*entries, *dict.fromkeys(entry.family for entry in entries.values())]
    is_near = Path(f"{name}.py").is_file()
    file = f"; the file here is --experiment={name}.py" if is_near else ""
    raise UserError(_unknown(name, names, search(name, entries, root)) + file)
  return chosen


def search(words: str, entries: Mapping[str, Entry], root: Path = ROOT) -> list[Entry]:
  """The experiments that some words are about, the clearest first; concepts are the catalogue's."""
  texts = {entry.name: (entry.family, entry.docstring) for entry in entries.values()}
  return [entries[name] for name in about(words, texts, concepts(root))]


def _unknown(name: str, names: Iterable[str], found: list[Entry]) -> str:
  """One line for a name that no experiment has: those that are about it, or else the nearest."""
  if not found:
    return unknown_name(name, names, "experiment") + " (--list shows them all)"
  listed = ", ".join(entry.name for entry in found[:MOST_NAMES])
  more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
  return f"unknown experiment {name!r}; about it: {listed}{more} (--list={name} describes them)"


def _docstring(path: Path) -> str:
  """A module's docstring, indented as it is written."""
  try:
    module = ast.parse(path.read_text(encoding="utf-8"))
  except (SyntaxError, ValueError, OSError) as error:  # somebody edits it; the others still run
    return f"(cannot be read: {error})"
  return (ast.get_docstring(module, clean=False) or "").strip()


def _file_of_module(name: str) -> Path | None:
  """The file of an importable module, without importing what it lies in."""
  place: Iterable[str] | None = None
  spec = None
  for part in name.split("."):
    spec = importlib.machinery.PathFinder.find_spec(part, place)  # type: ignore[arg-type]
    if spec is None:
      return None
    place = spec.submodule_search_locations
  return Path(spec.origin) if spec and spec.origin else None


def load(entry: Entry) -> "Experiment":
  """Imports an experiment.

  Raises:
    UserError: where the module holds none, or where one that is not of the catalogue fails.
  """
  if entry.is_file:
    assert entry.path
    module = experiment_file.load(entry.path)
  else:
    name = entry.module or f"experiments.{entry.family}.{entry.name}"
    call = lambda: importlib.import_module(name)
    is_ours = name.startswith("experiments.")
    module = call() if is_ours else experiment_file.in_one_line(entry.path or Path(name), call)
  experiment = vars(module).get("experiment")
  if experiment is None:
    raise UserError(f"{module.__file__} holds no experiment; end it with {HINT}")
  from research.lab.experiment import Experiment

  if not isinstance(experiment, Experiment):
    kind = type(experiment).__name__
    raise UserError(f"{module.__file__}: `experiment` is of type {kind}; end it with {HINT}")
  return experiment._replace(name=entry.name, file=entry.path, flag=entry.flag)


def listing(entries: list[Entry]) -> str:
  """The experiments as text, one line each, family by family in the order of their first ones."""
  width = max(len(entry.name) for entry in entries)
  families: dict[str, list[str]] = {}
  for entry in entries:
    lines = families.setdefault(entry.family, [f"{entry.family}:"])
    lines.append(f"  {entry.name:<{width}}  {entry.summary}")
  return "\n".join(line for lines in families.values() for line in lines)
