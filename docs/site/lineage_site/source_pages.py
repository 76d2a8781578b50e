"""Source files as highlighted pages whose imported names are links."""

import ast
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from lineage_site.facts import definitions, imported

_SPAN = r'<span class="n[a-z]*">'
_NAME = re.compile(rf"({_SPAN})(\w+)(</span>)")
_PUBLIC = re.compile(rf'({_SPAN}@?ln</span><span class="o">\.</span>{_SPAN})(\w+)(</span>)')


class Place(NamedTuple):
  """Where a public name is defined: a file, and the name there ("" for a module)."""

  path: str
  name: str


def source_files(root: Path) -> list[str]:
  """The files that have a page, from the root of the repository."""
  files = [root / "launch.py", *root.glob("research/**/*.py"), *root.glob("experiments/**/*.py")]
  paths = [str(file.relative_to(root)) for file in files]
  return sorted(path for path in paths if not path.endswith("__init__.py"))


def page_name(path: str) -> str:
  """The page of a file: "source/research/learner" of "research/learner.py"."""
  return f"source/{path.removesuffix('.py')}"


def public_names(stub: str, root: Path) -> dict[str, Place]:
  """The public names of a stub of re-exports, each with its place."""
  found = {}
  for node in ast.parse(stub).body:
    if isinstance(node, ast.ImportFrom) and node.module:
      file = node.module.replace(".", "/")
      for alias in node.names:
        module = f"{file}/{alias.name}.py"
        is_module = (root / module).is_file()
        place = Place(module, "") if is_module else Place(f"{file}.py", alias.name)
        found[alias.asname or alias.name] = place
  return found


def summary(root: Path, path: str) -> str:
  """The first sentence of a file's docstring."""
  docstring = ast.get_docstring(ast.parse((root / path).read_text(encoding="utf-8"))) or ""
  return " ".join(docstring.split("\n\n")[0].split())


def code(root: Path, path: str, links: Mapping[str, str]) -> str:
  """A file's code as HTML with a link on every line number.

  Args:
    root: of the repository.
    path: of the file, from there.
    links: addresses by what stands in the file: a name that it imports, or `ln.NAME`.
  """
  text = (root / path).read_text(encoding="utf-8")
  formatter = HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="L", wrapcode=True)
  shown: str = highlight(text, PythonLexer(), formatter)
  shown = shown.replace('id="L-', 'id="L').replace('name="L-', 'name="L').replace("#L-", "#L")
  shown = re.sub(r' name="L\d+"', "", shown)
  shown = _PUBLIC.sub(lambda match: _linked(match, links, f"ln.{match[2]}"), shown)
  return _NAME.sub(lambda match: _linked(match, links, match[2]), shown)


def _linked(match: re.Match[str], links: Mapping[str, str], name: str) -> str:
  if name not in links:
    return match[0]
  return f'{match[1]}<a href="{escape(links[name])}">{match[2]}</a>{match[3]}'


def targets(root: Path, path: str) -> dict[str, str]:
  """The names that a file imports from the project, each with the file and line that defines it."""
  tree = ast.parse((root / path).read_text(encoding="utf-8"))
  found: dict[str, str] = {}
  for file, names in imported(root, tree).items():
    known = definitions((root / file).read_text(encoding="utf-8"), file)
    found |= {name: f"{file}#L{known[name].first}" for name in names if name in known}
    if not names:
      found[Path(file).stem] = file
  return found
