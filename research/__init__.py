"""The library. Its public names stand in `__init__.pyi`; each is imported at its first use.

import research as ln
learner = ln.supervised(...)
"""

import functools
import importlib
from pathlib import Path
from typing import Any


@functools.cache
def _public() -> dict[str, tuple[str, str]]:
  """Each public name with its module and its name there, read from the stub."""
  import ast

  tree = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
  return {
    alias.asname or alias.name: (node.module or "", alias.name)
    for node in tree.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
  }


def __getattr__(name: str) -> Any:
  """Imports a public name at its first use (PEP 562)."""
  if name not in _public():
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module, attribute = _public()[name]
  if (Path(__file__).parent / module.partition(".")[2].replace(".", "/")).is_dir():
    return importlib.import_module(f"{module}.{attribute}")  # the name is a module's
  return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
  return sorted([*globals(), *_public()])
