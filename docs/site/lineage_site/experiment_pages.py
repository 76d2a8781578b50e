"""A page for each experiment."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lineage_site import prose
from lineage_site.facts import Excerpt, Facts, Field
from lineage_site.inventory import Chapter, chapters_of
from lineage_site.prose import Names, escaped, inline, link
from research.reporting.origins import System

SHORT = 48  # letters of a nested config that a table shows
PICTURES = (".gif", ".png", ".svg")


class Experiment(NamedTuple):
  """What is known of an experiment.

  Attributes:
    name: as --experiment takes it.
    family: its folder.
    docstring: of its module.
    path: of its file, from the root of the repository.
    facts: of its source.
    systems: rows of the inventory that it builds.
    claims: its rows of RESULTS.md, cells by column.
    concepts: names of what it shows.
    formulas: pairs of TeX and what it says.
    tries: three things to try: what, and the command.
    pictures: pairs of a file, from the folder of the documents, and its caption.
    play: of interactive pages, name and title.
  """

  name: str
  family: str
  docstring: str
  path: str
  facts: Facts
  systems: Sequence[System]
  claims: Sequence[Mapping[str, str]]
  concepts: Sequence[str]
  formulas: Sequence[tuple[str, str]]
  tries: Sequence[tuple[str, str]]
  pictures: Sequence[tuple[str, str]]
  play: Sequence[tuple[str, str]] = ()

  @property
  def summary(self) -> str:
    """The docstring's first line."""
    return self.docstring.strip().splitlines()[0]

  @property
  def title(self) -> str:
    """The summary without its ids and full stop."""
    return re.sub(r"\s*\([A-Z]\d\d[^)]*\)", "", self.summary).rstrip(".")


def pictures_of(documents: Path, name: str) -> list[tuple[str, str]]:
  """The figures of an experiment in the folder of the documents, with their captions."""
  folder, alone = documents / "gallery" / name, documents / f"{name}.png"
  if not (folder / "captions.json").is_file():
    return [(alone.name, "As its report draws it.")] if alone.is_file() else []
  captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
  found = []
  for figure, caption in captions.items():
    files = [path for kind in PICTURES if (path := folder / f"{figure}{kind}").is_file()]
    found += [(str(file.relative_to(documents)), caption) for file in files[:1]]
  return found


def page(experiment: Experiment, names: Names, documents: str) -> str:
  """The page as Markdown.

  Args:
    experiment: what it is about.
    names: that its text may link to.
    documents: the path from the page to the folder of the documents.
  """
  head, _, body = experiment.docstring.strip().partition("\n")
  del head
  sections = [
    f"# {escaped(experiment.title)}",
    _badges(experiment),
    prose.markdown(body, names),
    _figures(documents, experiment.pictures[:1], ""),
    _formulas(experiment.formulas),
    _play(experiment.play),
    _figures(documents, experiment.pictures[1:], "Further figures"),
    _code(experiment, names),
    _settings(experiment.facts.fields, names),
    _claims(experiment.claims, names),
    _now(experiment),
    _library(experiment.facts),
  ]
  return "\n\n".join(filter(None, sections)) + "\n"


def _badges(experiment: Experiment) -> str:
  cited = [chapter for system in experiment.systems for chapter in chapters_of(system.source)]
  anchors = {chapter.book.anchor(chapter.numbers): chapter for chapter in cited}
  chapters = [link(_cited(chapter), "chapter", anchor) for anchor, chapter in anchors.items()]
  lines = [
    f"`{experiment.name}` · {link(experiment.family, 'family', experiment.family)} · "
    f"{link('source', 'source', experiment.path)}"
  ]
  if experiment.systems:
    systems = [f"{link(row.id, 'system', row.id)} {row.title}" for row in experiment.systems]
    lines.append("Inventory: " + "; ".join(systems))
  if chapters:
    lines.append("Books: " + "; ".join(chapters))
  if experiment.concepts:
    shown = [link(concept, "concept", slug(concept)) for concept in experiment.concepts]
    lines.append("Concepts: " + ", ".join(shown))
  return ":::{div} badges\n" + "\n\n".join(lines) + "\n:::"


def _cited(chapter: Chapter) -> str:
  unit = chapter.book.unit_of(chapter.numbers)
  return f"{chapter.book.short}, {unit[:1].lower()}{unit[1:]}"


def slug(text: str) -> str:
  """A text as an anchor: small letters, digits and hyphens."""
  return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _formulas(formulas: Sequence[tuple[str, str]]) -> str:
  if not formulas:
    return ""
  shown = [f"{escaped(says)}\n\n```{{math}}\n{tex.strip()}\n```" for tex, says in formulas]
  return "## In formulas\n\n" + "\n\n".join(shown)


def _figures(documents: str, pictures: Sequence[tuple[str, str]], heading: str) -> str:
  shown = [f"## {heading}"] if pictures and heading else []
  for file, caption in pictures:
    alt = Path(file).stem.replace("_", " ")
    shown.append(
      f"```{{figure}} {documents}/{file}\n:alt: {alt}\n:width: 100%\n\n{escaped(caption)}\n```"
    )
  return "\n\n".join(shown)


def _play(pages: Sequence[tuple[str, str]]) -> str:
  if not pages:
    return ""
  shown = [f"- {link(title, 'play', name)}" for name, title in pages]
  return "## Play with it\n\n" + "\n".join(shown)


def _code(experiment: Experiment, names: Names) -> str:
  shown = [_excerpt(excerpt) for excerpt in experiment.facts.excerpts]
  whole = link(f"`{experiment.path}`", "source", experiment.path)
  return "\n\n".join(["## The code that matters", *shown, f"The whole experiment: {whole}."])


def _excerpt(excerpt: Excerpt) -> str:
  where = f"{excerpt.path}#L{excerpt.first}"
  lines = f"{excerpt.path}, lines {excerpt.first} to {excerpt.last}"
  return (
    f"{link(f'`{excerpt.name}`', 'source', where)} ({lines})\n\n"
    f"```{{code-block}} python\n:lineno-start: {excerpt.first}\n\n{excerpt.text}\n```"
  )


def _settings(fields: Sequence[Field], names: Names) -> str:
  rows = []
  for field in fields:
    if field.kind == "nested":
      kind = field.default.partition("(")[0].removeprefix("ln.")
      what = link(f"`{kind}`", "public", kind) if kind in names.publics else f"`{kind}`"
      default = field.default.removeprefix("ln.")
      default = default if len(default) <= SHORT else f"{kind}(...)"
      rows.append(f"| `--{field.name}.…` | `{default}` | the fields of {what} |")
      continue
    choices = f"; one of {', '.join(f'`{choice}`' for choice in field.choices)}"
    what = inline(field.help, names) + (choices if field.choices else "")
    default = f"`{field.default}`" if field.default else ""
    rows.append(f"| `--{field.name}` | {default} | {what} |")
  if not rows:
    return ""
  return "\n".join(["## Settings", "", "| flag | default | what it is |", "|---|---|---|", *rows])


def _claims(claims: Sequence[Mapping[str, str]], names: Names) -> str:
  if not claims:
    return (
      "## Claims\n\nNo row of RESULTS.md is of this experiment yet; `verify` would measure its "
      "claims and add them."
    )
  head = (
    "| verdict | id | claim | source | ours | bar |\n|---|---|---|---|---|---|"  # as in reports
  )
  rows = [
    f"| {{bdg-{_COLOURS[claim['verdict']]}-line}}`{claim['verdict']}` | {_id(claim['id'], names)} "
    f"| {escaped(claim['what'])} | {escaped(claim['source'])} | {escaped(claim['ours'])} "
    f"| {escaped(claim['bar'])} |"
    for claim in claims
  ]
  passed = sum(claim["verdict"] == "pass" for claim in claims)
  about = (
    f"{passed} of {len(claims)} hold. *Ours* is the mean over seeds with half of its 95 % "
    f"interval, the *bar* what it takes to have reproduced the source."
  )
  return "\n".join(["## Claims", "", about, "", ":::{div} claims", "", head, *rows, "", ":::"])


_COLOURS = {"pass": "success", "fail": "danger", "undecided": "warning"}


def _id(id: str, names: Names) -> str:
  return link(id, "system", id) if id in names.systems else escaped(id)


def _now(experiment: Experiment) -> str:
  shown = [
    f"{escaped(what)}{'' if what.endswith('?') else ':'}\n\n{prose.shell(command)}"
    for what, command in experiment.tries
  ]
  return "## Now try\n\n" + "\n\n".join(shown)


def _library(facts: Facts) -> str:
  lines = [
    f"- {link(f'`{path}`', 'source', path)}"
    + (f": {', '.join(f'`{name}`' for name in names)}" if names else "")
    for path, names in facts.modules.items()
  ]
  publics = ", ".join(link(f"`{name}`", "public", name) for name in facts.publics)
  parts = [f"Public names: {publics}." if publics else "", "\n".join(lines)]
  body = "\n\n".join(filter(None, parts))
  return f"## What it is made of\n\n{body}" if body else ""
