"""Docstrings and documents as Markdown whose links lead to the site's own pages.

A link is written `lineage:KIND/NAME`; `targets` resolves it, and fails the build for one that leads
nowhere.
"""

import re
import textwrap
from collections.abc import Callable, Collection
from typing import NamedTuple

SCHEME = "lineage"
_SPECIAL = re.compile(r"([\\*_\[\]<>|#{}$~^`])")
_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$")
_ID = re.compile(r"\b[A-Z]\d\d\b")
_PATH = re.compile(r"^(?:research|experiments)/[\w/]+\.py$")


class Names(NamedTuple):
  """Names that a text may speak of, each of which has a place on the site."""

  experiments: Collection[str] = ()
  systems: Collection[str] = ()
  publics: Collection[str] = ()
  sources: Collection[str] = ()


def link(text: str, kind: str, name: str) -> str:
  """A Markdown link to a place of the site."""
  return f"[{text}]({SCHEME}:{kind}/{name})"


def escaped(text: str) -> str:
  """Plain text, of which Markdown changes nothing; also where a line would begin a list."""
  text = _SPECIAL.sub(r"\\\1", text)
  return re.sub(r"^(\s*\d*)([-+.)])(\s)", r"\1\\\2\3", text)


def inline(text: str, names: Names) -> str:
  """A paragraph of a docstring: `words` become code, and known names links."""
  parts = re.split(r"`([^`]+)`", " ".join(text.split()))
  plain = [_with_ids(escaped(part), names) for part in parts[::2]]
  code = [_code(part, names) for part in parts[1::2]]
  return "".join(word for pair in zip(plain, [*code, ""], strict=True) for word in pair)


def markdown(docstring: str, names: Names) -> str:
  """A docstring as Markdown: paragraphs, indented blocks as code, sections of entries as lists."""
  return "\n\n".join(filter(None, (_block(block, names) for block in _blocks(docstring))))


def shell(commands: str) -> str:
  """Commands as a block of code."""
  return f"```shell\n{textwrap.dedent(commands).strip()}\n```"


def relinked(text: str, resolve: Callable[[str], str]) -> str:
  """Markdown whose relative link targets are replaced by what `resolve` says."""
  one = lambda match: f"]({resolve(match[1])})"
  return re.sub(r"\]\((?!https?:|#|lineage:)([^)\s]+)\)", one, text)


def section(document: str, heading: str) -> str:
  """The text under a heading of a Markdown document, until the next of its level or above.

  Raises:
    KeyError: where the document has no such heading.
  """
  lines = document.splitlines()
  levels = dict(_headings(lines))
  for start, level in levels.items():
    if lines[start].lstrip("#").strip() == heading:
      ends = [line for line, other in levels.items() if line > start and other <= level]
      body = lines[start + 1 : ends[0] if ends else None]
      return _raised("\n".join(body).strip(), level - 1)
  raise KeyError(f"no heading {heading!r}")


def _headings(lines: list[str]) -> list[tuple[int, int]]:
  """The places and levels of headings; a comment within a block of code is none."""
  found, fenced = [], False
  for number, line in enumerate(lines):
    fenced ^= line.startswith("```")
    if not fenced and (match := re.match(r"(#+) ", line)):
      found.append((number, len(match[1])))
  return found


def _raised(text: str, levels: int) -> str:
  lines = text.splitlines()
  for number, _ in _headings(lines):
    lines[number] = lines[number][levels:]
  return "\n".join(lines)


def _blocks(docstring: str) -> list[str]:
  """Paragraphs, where indented ones that follow one another are one."""
  blocks: list[str] = []
  for block in re.split(r"\n\s*\n", textwrap.dedent(docstring).strip("\n")):
    if blocks and block.startswith("  ") and blocks[-1].startswith("  "):
      blocks[-1] += f"\n\n{block}"
    else:
      blocks.append(block)
  return blocks


def _block(block: str, names: Names) -> str:
  first, _, rest = block.partition("\n")
  if heading := _SECTION.match(first.strip()):
    return f"**{heading[1]}**\n\n{_entries(rest, names)}"
  lines = block.splitlines()
  if lines and all(line.startswith("  ") or not line for line in lines):
    return _code_block(block)
  if any(line.startswith("  ") for line in lines):  # an example that follows its sentence at once
    start = next(place for place, line in enumerate(lines) if line.startswith("  "))
    if start == 0:
      return _code_block(block)
    code = "\n".join(lines[start:])
    return f"{inline(' '.join(lines[:start]), names)}\n\n{_code_block(code)}"
  return inline(block, names)


def _code_block(block: str) -> str:
  text = textwrap.dedent(block).strip("\n")
  is_shell = re.match(r"(python|pip|lineage|\$) ", text)
  looks_like_python = re.search(r"^(@|>>>|import |from |class |def |\w+ = )|\w\(.*\)$", text, re.M)
  kind = "shell" if is_shell else "python" if looks_like_python else "text"
  return f"```{kind}\n{text}\n```"


def _entries(text: str, names: Names) -> str:
  """A section's entries, "name: what it is", as a list."""
  items: list[list[str]] = []
  for line in textwrap.dedent(text).splitlines():
    if items and line.startswith(" "):
      items[-1].append(line.strip())
    else:
      items.append([line.strip()])
  shown = []
  for item in items:
    whole = " ".join(item)
    name, colon, rest = whole.partition(": ")
    is_named = colon and re.fullmatch(r"[\w*.]+", name)
    text = f"`{name}`: {inline(rest, names)}" if is_named else inline(whole, names)
    shown.append(f"- {text}")
  return "\n".join(shown)


def _with_ids(text: str, names: Names) -> str:
  known = lambda match: (
    link(match[0], "system", match[0]) if match[0] in names.systems else match[0]
  )
  return _ID.sub(known, text)


def _code(text: str, names: Names) -> str:
  code = f"`{text}`"
  bare = text.removeprefix("ln.")
  if text in names.experiments:
    return link(code, "experiment", text)
  if _PATH.match(text) and text in names.sources:
    return link(code, "source", text)
  dotted = text.replace(".", "/") + ".py"
  if dotted in names.sources:
    return link(code, "source", dotted)
  return link(code, "public", bare) if bare in names.publics else code
