"""Facts about an experiment, read from its file without running it."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

LINES = 48  # of code on an experiment's page, where nobody chose the code
_NOT_THE_IDEA = ("run", "report", "pictures", "findings", "claims", "images", "digits", "draw")


class Field(NamedTuple):
  """A field of a config.

  Attributes:
    name: of the field.
    kind: "static", "traced" or "nested".
    default: as it is written.
    help: what it is; "" for a nested config.
    choices: the texts it takes, where they are listed.
  """

  name: str
  kind: str
  default: str
  help: str
  choices: tuple[str, ...]


class Excerpt(NamedTuple):
  """Some lines of a file: `first` to `last`, counted from 1, of the definition `name`."""

  path: str
  name: str
  first: int
  last: int
  text: str


class Facts(NamedTuple):
  """What the source of an experiment says about it.

  Attributes:
    fields: of its config.
    excerpts: the lines that matter.
    modules: files of the library that it imports, with the names it takes from them.
    publics: the names of `research` that it uses.
  """

  fields: tuple[Field, ...]
  excerpts: tuple[Excerpt, ...]
  modules: dict[str, tuple[str, ...]]
  publics: tuple[str, ...]


def facts_of(root: Path, path: str, code: Sequence[str] = ()) -> Facts:
  """Reads the experiment at `path`, relative to the repository `root`.

  Args:
    root: of the repository.
    path: of the experiment, from there.
    code: the definitions that matter, as NAME or FILE:NAME; by default the longest of its own.

  Raises:
    KeyError: where there is no definition of such a name.
  """
  text = (root / path).read_text(encoding="utf-8")
  tree = ast.parse(text)
  own = definitions(text, path)
  ideas = [each for each in own.values() if _is_idea(tree, each)]
  return Facts(
    fields=tuple(_fields(tree)),
    excerpts=tuple(_named(root, own, code) if code else _longest(ideas, LINES)),
    modules=imported(root, tree),
    publics=tuple(sorted({*_publics(tree)})),
  )


def definitions(text: str, path: str) -> dict[str, Excerpt]:
  """The functions, classes and named values at the top of a module, by name."""
  lines, found = text.splitlines(), {}
  for node in ast.parse(text).body:
    first = node.lineno
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      name = node.name
      first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
      name = ast.unparse(node.targets[0]).strip("()")
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
      name = node.target.id
    else:
      continue
    last = node.end_lineno or first
    for each in name.split(", "):
      found[each] = Excerpt(path, each, first, last, "\n".join(lines[first - 1 : last]))
  return found


def imported(root: Path, tree: ast.Module) -> dict[str, tuple[str, ...]]:
  """The project's own files that a module imports, with the names taken from each."""
  found: dict[str, list[str]] = {}
  for node in ast.walk(tree):
    if not isinstance(node, ast.ImportFrom) or not node.module:
      continue
    if node.module.partition(".")[0] not in ("research", "experiments"):
      continue
    file = node.module.replace(".", "/")
    for alias in node.names:
      inner = f"{file}/{alias.name}.py"
      path, name = (inner, "") if (root / inner).is_file() else (f"{file}.py", alias.name)
      if (root / path).is_file():
        found.setdefault(path, []).append(name)
  return {path: tuple(filter(None, names)) for path, names in found.items()}


def _publics(tree: ast.Module) -> list[str]:
  return [
    node.attr
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id == "ln"
  ]


def _named(root: Path, own: dict[str, Excerpt], code: Sequence[str]) -> list[Excerpt]:
  found = []
  for name in code:
    path, _, inside = name.rpartition(":")
    there = definitions((root / path).read_text(encoding="utf-8"), path) if path else own
    found.append(there[inside])
  return found


def _length(excerpt: Excerpt) -> int:
  return excerpt.last - excerpt.first + 1


def _longest(excerpts: list[Excerpt], lines: int) -> list[Excerpt]:
  """The longest of them that fit into so many lines, in the order of the file."""
  kept: list[Excerpt] = []
  for each in sorted(excerpts, key=_length, reverse=True):
    if len(kept) < 3 and sum(map(_length, kept)) + _length(each) <= lines:
      kept.append(each)
  return sorted(kept, key=lambda each: each.first)


def _is_idea(tree: ast.Module, excerpt: Excerpt) -> bool:
  """Tells whether a definition is of the lesson: neither of its report nor of its figures."""
  nodes = [
    node
    for node in tree.body
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == excerpt.name
  ]
  if not nodes or excerpt.name in (*_NOT_THE_IDEA, "Config"):
    return False
  returns = getattr(nodes[0], "returns", None)
  said = ast.unparse(returns) if returns else ""
  draws = any(word in said for word in ("Picture", "Report", "Figure", "Claim"))
  return not draws and "figure" not in excerpt.name and "new_figure" not in excerpt.text


def _fields(tree: ast.Module) -> list[Field]:
  configs = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config"]
  found = []
  for node in configs[0].body if configs else ():
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Call):
      continue
    assert isinstance(node.target, ast.Name)
    kind = ast.unparse(node.value.func).removeprefix("ln.")
    arguments = node.value.args
    choices = [key.value for key in node.value.keywords if key.arg == "choices"]
    found.append(
      Field(
        node.target.id,
        kind,
        _default(arguments[0]) if arguments else "",
        str(_literal(arguments[1]) or "") if len(arguments) > 1 else "",
        _texts(choices[0]) if choices else (),
      )
    )
  return found


def _default(node: ast.expr) -> str:
  value = _literal(node)
  if isinstance(value, tuple | list):
    return ",".join(map(str, value))
  return ast.unparse(node) if value is None else str(value)


def _literal(node: ast.expr) -> Any:
  try:
    return ast.literal_eval(node)
  except ValueError:
    return None


def _texts(node: ast.expr) -> tuple[str, ...]:
  value = _literal(node)
  if isinstance(value, tuple):
    return tuple(map(str, value))
  parts = node.elts if isinstance(node, ast.Tuple) else []
  return tuple(str(value) for part in parts if isinstance(value := _literal(part), str))
