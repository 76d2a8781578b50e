"""The reference of the public names: signature, what the docstring says, where it is used."""

import ast
import functools
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage_site.prose import Names, inline, link, markdown
from lineage_site.source_pages import Place

SHORT = 12  # lines of an example that is taken from an experiment
USES = 8  # experiments that are named under a public name


def entry(
  root: Path,
  name: str,
  place: Place,
  names: Names,
  uses: Mapping[str, Sequence[str]],
  example: str,
) -> str:
  """A public name's part of the reference, as Markdown.

  Args:
    root: of the repository.
    name: under which it is public.
    place: where it is defined.
    names: that the text may link to.
    uses: the experiments that use a name.
    example: some lines of Python, tested as a doctest; "" takes one from an experiment.
  """
  text = (root / place.path).read_text(encoding="utf-8")
  tree = ast.parse(text)
  node = definition(tree, place.name)
  docstring = ast.get_docstring(node) if not isinstance(node, ast.Assign) else ""
  shown = [
    f"```python\n{header(text, node, name)}\n```" if place.name else "",
    markdown(docstring or "", names),
    _methods(text, node) if isinstance(node, ast.Module | ast.ClassDef) else "",
    _example(root, name, example, uses.get(name, ())),
    _footer(name, place, node, uses.get(name, ())),
  ]
  return "\n\n".join(filter(None, shown))


Node = ast.Module | ast.FunctionDef | ast.ClassDef | ast.Assign


def definition(tree: ast.Module, name: str) -> Node:
  """The node that defines a name of a module; the module itself for "".

  Raises:
    KeyError: where the module has no such name.
  """
  if not name:
    return tree
  for node in tree.body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
      return node
    if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
      return node
  raise KeyError(name)


def header(text: str, node: Node, name: str) -> str:
  """A definition without its body: the signature, or a class with its fields."""
  lines = text.splitlines()
  if isinstance(node, ast.Assign):
    return _source(text, node)
  if isinstance(node, ast.Module):
    return ""
  signature = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
  if isinstance(node, ast.FunctionDef):
    return signature.rstrip().removesuffix(":")
  fields = [_source(text, field) for field in node.body if isinstance(field, ast.AnnAssign)]
  fields = [field for field in fields if not field.lstrip().startswith("_")]
  decorators = [f"@{ast.unparse(decorator)}" for decorator in node.decorator_list]
  return "\n".join([*decorators, signature.rstrip(), *(f"  {field}" for field in fields)])


def _source(text: str, node: ast.stmt) -> str:
  return ast.get_source_segment(text, node) or ""


def _methods(text: str, node: ast.Module | ast.ClassDef) -> str:
  """The public functions of a class or module, each with its signature and first sentence."""
  shown = []
  for each in node.body:
    if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
      said = (ast.get_docstring(each) or "").split("\n\n")[0]
      arguments = ", ".join(
        argument.arg
        for argument in [*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs]
        if argument.arg not in ("self", "cls")
      )
      is_property = any(ast.unparse(one).endswith("property") for one in each.decorator_list)
      call = each.name if is_property else f"{each.name}({arguments})"
      shown.append(f"- `{call}`: {inline(said, Names())}")
  kind = "Functions" if isinstance(node, ast.Module) else "Methods"
  return f"**{kind}**\n\n" + "\n".join(shown) if shown else ""


def _example(root: Path, name: str, example: str, uses: Sequence[str]) -> str:
  if example:
    shown = re.sub(r"  # doctest: \+\w+", "", example)  # for the test alone
    return f"**Example**\n\n```pycon\n{shown}\n```"
  found = [_call(root / path, name) for path in uses]
  calls = [(path, call) for path, call in zip(uses, found, strict=True) if call]
  if not calls:
    return ""
  path, (line, call) = min(calls, key=lambda pair: len(pair[1][1]))
  where = link(f"`{path}`", "source", f"{path}#L{line}")
  return f"**Example**, from {where}\n\n```python\n{call}\n```"


def _call(file: Path, name: str) -> tuple[int, str] | None:
  """The shortest statement of a file that uses a public name, with its line."""
  uses = re.compile(rf"\bln\.{name}\b")
  found = [(line, text) for line, text in _statements(file) if uses.search(text)]
  return min(found, key=lambda pair: len(pair[1]), default=None)


@functools.cache
def _statements(file: Path) -> list[tuple[int, str]]:
  """The short simple statements of a file with their lines."""
  text = file.read_text(encoding="utf-8")
  lines, found = text.splitlines(), []
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr):
      segment = lines[node.lineno - 1 : node.end_lineno]
      if len(segment) <= SHORT:
        found.append((node.lineno, textwrap.dedent("\n".join(segment))))
  return found


def _footer(name: str, place: Place, node: Node, uses: Sequence[str]) -> str:
  line = 1 if isinstance(node, ast.Module) else node.lineno
  where = f"{place.path}#L{line}"
  parts = [f"Source: {link(f'`{place.path}`', 'source', where)}"]
  if uses:
    stems = [Path(path).stem for path in uses]
    shown = ", ".join(link(f"`{stem}`", "experiment", stem) for stem in stems[:USES])
    more = f" and {len(uses) - USES} more" if len(uses) > USES else ""
    parts.append(f"Used by: {shown}{more}")
  return " · ".join(parts)
