"""Which small faults the tests do not see. Run by hand; pytest collects nothing here.

    python tests/mutation.py research/rl --seed 0 --count 60

Draws mutants of the files (a comparison, an operator, a constant, a clause, a minimum or two
arguments changed), each in a copy of the tree, and runs the tests of the mirrored folder that import
the module. A survivor is either equivalent or a test that is missing.
"""

import argparse
import ast
import copy
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
OPERATORS = {
  ast.Lt: ast.LtE,
  ast.LtE: ast.Lt,
  ast.Gt: ast.GtE,
  ast.GtE: ast.Gt,
  ast.Eq: ast.NotEq,
  ast.NotEq: ast.Eq,
  ast.Is: ast.IsNot,
  ast.IsNot: ast.Is,
  ast.In: ast.NotIn,
  ast.NotIn: ast.In,
  ast.Add: ast.Sub,
  ast.Sub: ast.Add,
  ast.Mult: ast.Div,
  ast.Div: ast.Mult,
  ast.Pow: ast.Mult,
  ast.FloorDiv: ast.Mult,
  ast.Mod: ast.Add,
  ast.BitAnd: ast.BitOr,
  ast.BitOr: ast.BitAnd,
}
NAMES = {
  "min": "max",
  "minimum": "maximum",
  "argmin": "argmax",
  "any": "all",
  "floor": "ceil",
  "sum": "mean",
  "zeros": "ones",
  "zeros_like": "ones_like",
}
NAMES |= {new: old for old, new in NAMES.items()}


def variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: PLR0912
  """What a slip of the pen could make of one expression."""

  def changed(**fields: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
      setattr(other, name, value)
    return other

  match node:
    case ast.Compare(ops=[op]) if type(op) in OPERATORS:
      yield changed(ops=[OPERATORS[type(op)]()])
    case ast.BinOp(op=op) if type(op) in OPERATORS:
      yield changed(op=OPERATORS[type(op)]())
    case ast.BoolOp(values=values):
      for number in range(len(values)):
        rest = [*values[:number], *values[number + 1 :]]
        yield rest[0] if len(rest) == 1 else changed(values=rest)
    case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
      yield operand
    case ast.IfExp(body=body, orelse=orelse):
      yield changed(body=orelse, orelse=body)
    case ast.Constant(value=bool(value)):
      yield changed(value=not value)
    case ast.Constant(value=int(value)):
      yield changed(value=value + 1)
    case ast.Constant(value=float(value)):
      yield changed(value=2 * value or 1.0)
    case ast.Call(args=args) if not any(isinstance(of, ast.Starred) for of in args):
      for number in range(len(args) - 1):
        swapped = [*args]
        swapped[number : number + 2] = args[number + 1], args[number]
        yield changed(args=swapped)
    case ast.Name(id=name) if name in NAMES:
      yield changed(id=NAMES[name])
    case ast.Attribute(attr=name) if name in NAMES:
      yield changed(attr=NAMES[name])


def expressions(tree: ast.AST) -> Iterator[ast.AST]:
  """All but annotations and what messages hold, whose places `ast` does not know."""
  for field, value in ast.iter_fields(tree):
    if field not in ("annotation", "returns", "op", "ops"):
      for child in value if isinstance(value, list) else [value]:
        if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
          yield child
          yield from expressions(child)


def mutants(source: str) -> Iterator[tuple[int, str, str, str]]:
  """(line, before, after, the whole source) of every mutant."""
  lines = source.encode().splitlines(keepends=True)
  at = lambda line, column: sum(map(len, lines[: line - 1])) + column
  for node in expressions(ast.parse(source)):
    for other in variants(node):
      start, end = at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)
      text = source.encode()
      before, after = ast.unparse(node), ast.unparse(other)
      put = text[:start] + f"({after})".encode() + text[end:]
      yield node.lineno, before, after, put.decode()


def tests_of(root: Path, module: Path) -> list[str]:
  """The mirrored folder's tests that import the module, that of its name first; or all of them."""
  folder = root / "tests" / module.parent
  names = re.compile(rf"import .*\b{module.stem}\b|\.{module.stem} import|\b{module.stem}\.")
  found = [path for path in sorted(folder.glob("test_*.py")) if names.search(path.read_text())]
  found = found or sorted(folder.glob("test_*.py"))
  found.sort(key=lambda path: path.stem != f"test_{module.stem}")
  return [str(path.relative_to(root)) for path in found]


def passes(copy_of_tree: Path, tests: list[str], seconds: float) -> bool:
  """Whether the tests pass in time; programs that a mutant leaves alone are compiled once."""
  cache = {
    "JAX_COMPILATION_CACHE_DIR": str(copy_of_tree / "xla"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
  try:
    found = subprocess.run(
      command,
      cwd=copy_of_tree,
      env=os.environ | cache,
      timeout=seconds,
      capture_output=True,
      check=False,
    )
  except subprocess.TimeoutExpired:
    return False
  return found.returncode == 0


def main() -> None:
  """Prints each mutant with what became of it, and the share that was killed."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("where", type=Path, help="a module or a folder of them, as research/rl")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--count", type=int, default=60)
  given = parser.parse_args()
  usual: dict[tuple[str, ...], float] = {}
  survivors = 0
  with tempfile.TemporaryDirectory() as folder:
    tree = Path(folder) / "tree"
    left = shutil.ignore_patterns(".*", "runs", "docs", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=left)
    where = tree / given.where
    files = [where] if where.suffix else sorted(where.glob("*.py"))
    found = [(path, *mutant) for path in files for mutant in mutants(path.read_text())]
    drawn = random.Random(given.seed).sample(found, min(given.count, len(found)))
    for path, line, before, after, text in sorted(drawn, key=lambda of: of[:2]):
      module, original = path.relative_to(tree), path.read_text()
      tests = tests_of(tree, module)
      if tuple(tests) not in usual:
        start = time.monotonic()
        if not passes(tree, tests, 3600):
          sys.exit(f"the tests fail without a mutant: {' '.join(tests)}")
        usual[tuple(tests)] = time.monotonic() - start
      path.write_text(text)
      is_alive = passes(tree, tests, 60 + 5 * usual[tuple(tests)])
      path.write_text(original)
      survivors += is_alive
      said = "SURVIVED" if is_alive else "killed"
      print(f"{said:8} {module}:{line}  {before}  ->  {after}", flush=True)
  print(f"{len(drawn) - survivors} of {len(drawn)} killed")


if __name__ == "__main__":
  main()
