"""Experiment files outside of the catalogue: loaded from any folder, here and in other processes.

A file is a module under a name of its own, made from its path, so that files of one name in two
folders are two modules. Its folder is where its imports are looked for first, as with
`python mine.py`.
"""

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from research.errors import UserError

T = TypeVar("T")


def load(path: Path) -> ModuleType:
  """Imports the file, once in a process; writes nothing beside it.

  Raises:
    UserError: naming the file and the line, where it cannot be read or fails.
  """
  path = path.resolve()
  name = f"lineage_file_{hashlib.sha256(str(path).encode()).hexdigest()[:10]}_{path.stem}"
  if name in sys.modules:
    return sys.modules[name]
  if str(path.parent) not in sys.path:
    sys.path.insert(0, str(path.parent))
  spec = importlib.util.spec_from_file_location(name, path)
  assert spec is not None, path  # the registry asks for names that end in .py
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module  # where dataclasses and pickle look for it
  try:
    in_one_line(path, lambda: exec(compile(path.read_bytes(), str(path), "exec"), vars(module)))
  except BaseException:
    del sys.modules[name]
    raise
  return module


def in_one_line(path: Path, call: Callable[[], T]) -> T:
  """Calls code of an experiment's file; what goes wrong there is one line.

  Raises:
    UserError: with the file, the line in it where that is known, and the error.
  """
  try:
    return call()
  except UserError:
    raise
  except (Exception, SystemExit) as error:
    said = " ".join(str(error).split())[:300]
    raise UserError(f"{place_of(error, path)}: {type(error).__name__}: {said}") from error


def place_of(error: BaseException, path: Path) -> str:
  """The place in an experiment's file, or in one beside it, where an error came up."""
  if isinstance(error, SyntaxError) and error.filename:
    return f"{error.filename}, line {error.lineno}"
  frames = traceback.extract_tb(error.__traceback__)
  for wanted in (path.resolve(), path.resolve().parent):
    for frame in reversed(frames):
      file = Path(frame.filename)
      if file == wanted or (file.parent == wanted and file.suffix == ".py"):
        return f"{file}, line {frame.lineno}"
  return str(path)


def place_of_field(path: Path, field: str) -> str:
  """The file and line in which a config's field, given by its dotted name, is declared."""
  try:
    lines = path.read_text("utf-8").splitlines()
  except (OSError, ValueError):
    return str(path)
  name = field.partition(".")[0]
  found = (n for n, line in enumerate(lines, 1) if re.match(rf"\s+{name}\s*:", line))
  line = next(found, None)
  return str(path) if line is None else f"{path}, line {line}"


class Loaded:
  """A mark that loads a file when it is unpickled: what stands behind it may be of the file."""

  def __init__(self, path: str):
    """Loads the file; "" is none."""
    self.path = path
    if path:
      load(Path(path))

  def __reduce__(self) -> tuple[Any, ...]:
    return Loaded, (self.path,)
