"""Tables of contents: by family, by book, by concept; the inventory, the results, the sources."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage_site.experiment_pages import Experiment, slug
from lineage_site.inventory import BOOKS, Book, by_chapter
from lineage_site.prose import Names, escaped, inline, link, markdown
from research.lab.concepts import Concept
from research.reporting.origins import System

# In the order in which one learns them; a family that is not named comes last.
FAMILIES = (
  "perceptrons",
  "gradients",
  "backprop",
  "optimization",
  "initialization",
  "regularization",
  "regression",
  "tuning",
  "convolution",
  "architectures",
  "vision",
  "strategy",
  "sequences",
  "unsupervised",
  "reinforcement",
)


def families_of(experiments: Sequence[Experiment]) -> list[str]:
  """The families that there are, in the order of learning."""
  there = dict.fromkeys(experiment.family for experiment in experiments)
  return sorted(there, key=lambda name: (*FAMILIES, name).index(name))


def family(
  name: str, docstring: str, experiments: Sequence[Experiment], names: Names, documents: str
) -> str:
  """The page of a family: a card for each experiment."""
  cards = [_card(experiment, documents) for experiment in experiments]
  tree = "\n".join(f"{each.name} <../experiments/{each.name}>" for each in experiments)
  return "\n\n".join(
    [
      f"# {name.capitalize()}",
      markdown(docstring, names),
      "::::{grid} 1 1 2 3\n:gutter: 3\n\n" + "\n\n".join(cards) + "\n::::",
      f"```{{toctree}}\n:hidden:\n\n{tree}\n```",
    ]
  )


def _card(experiment: Experiment, documents: str) -> str:
  stills = [file for file, _ in experiment.pictures if not file.endswith(".gif")]
  image = f":img-top: {documents}/{stills[0]}\n" if stills else ""
  ids = " ".join(f"{{bdg-secondary-line}}`{system.id}`" for system in experiment.systems)
  body = f"{escaped(experiment.title)}\n\n{ids}".strip()
  name = experiment.name
  return (
    f":::{{grid-item-card}} {name}\n{image}:link: /learn/experiments/{name}\n:link-type: doc\n"
    f":img-alt: {name.replace('_', ' ')}\n\n{body}\n:::"
  )


def all_families(experiments: Sequence[Experiment]) -> str:
  """The page above the families."""
  parts = ["# By family", "The catalogue, in the order in which one may learn it."]
  order = families_of(experiments)
  for name in order:
    rows = [_line(each) for each in experiments if each.family == name]
    parts.append(f"## {link(name.capitalize(), 'family', name)}\n\n" + "\n".join(rows))
  tree = "\n".join(f"families/{name}" for name in order)
  parts.append(f"```{{toctree}}\n:hidden:\n\n{tree}\n```")
  return "\n\n".join(parts)


def _line(experiment: Experiment) -> str:
  return (
    f"- {link(f'`{experiment.name}`', 'experiment', experiment.name)}: {escaped(experiment.title)}"
  )


def books() -> str:
  """The page above the books."""
  shown = [f"- {link(book.title, 'book', book.key)}" for book in BOOKS]
  tree = "\n".join(f"books/{book.key}" for book in BOOKS)
  about = (
    "With a book in hand: find its chapter, and the code, figures and numbers that go with it."
  )
  return (
    f"# By book\n\n{about}\n\n" + "\n".join(shown) + f"\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```"
  )


def book(which: Book, systems: Sequence[System], experiments: Mapping[str, Experiment]) -> str:
  """A book's page, chapter by chapter."""
  parts = [f"# {which.title}"]
  for numbers, rows in by_chapter(systems, which).items():
    title = which.chapters.get(numbers, "")
    heading = f"{which.unit_of(numbers)}" + (f": {title}" if title else "")
    parts.append(f"({which.anchor(numbers)})=\n## {heading}")
    parts.append("\n".join(_system(row, experiments) for row in rows))
  return "\n\n".join(parts)


def _system(row: System, experiments: Mapping[str, Experiment]) -> str:
  head = f"- {link(row.id, 'system', row.id)} {row.title}"
  if not row.experiments:
    return f"{head} (not built yet)"
  lines = [f"  {_line(experiments[name])}" for name in row.experiments if name in experiments]
  return "\n".join([head, *lines])


def concepts(table: Sequence[Concept], experiments: Mapping[str, Experiment]) -> str:
  """The page of concepts, from A to Z, each with other words for it."""
  parts = [
    "# By concept",
    "`python launch.py --list=WORDS` searches the same words on the command line.",
  ]
  for concept in sorted(table, key=lambda concept: concept.name.lower()):
    words = ", ".join(map(escaped, concept.words))
    lines = [_line(experiments[name]) for name in concept.experiments]
    parts.append(
      f"(concept-{slug(concept.name)})=\n## {concept.name}\n\n{escaped(concept.says)}\n\n"
      f"*Also:* {words}\n\n" + ("\n".join(lines) or "No experiment shows it yet.")
    )
  return "\n\n".join(parts)


def inventory(text: str, systems: Sequence[System], names: Names) -> str:
  """The inventory with links to the site's own pages, and with an anchor for every id."""
  head, _, _ = text.partition("\n## ")
  intro = head.split("\n\n", 1)[1].replace(
    "[RESULTS.md](../RESULTS.md)", "[the results](results.md)"
  )
  parts = [f"# Inventory\n\n{intro.strip()}"]
  for section in dict.fromkeys(row.section for row in systems):
    lines = [
      f'| <span id="{row.id}"></span>{row.id} | {row.title} | {_source(row.source)} | '
      + (", ".join(_experiment(name, names) for name in row.experiments) or "not built yet")
      + " |"
      for row in systems
      if row.section == section
    ]
    table = ["| id | system | source | experiments |", "|---|---|---|---|", *lines]
    parts.append(f"## {section}\n\n" + "\n".join(table))
  return "\n\n".join(parts)


def _source(source: str) -> str:
  return source.replace("|", "\\|")


def _experiment(name: str, names: Names) -> str:
  return link(f"`{name}`", "experiment", name) if name in names.experiments else f"`{name}`"


def results(experiments: Sequence[Experiment]) -> str:
  """How many claims hold, family by family, and all those that do not."""
  parts = [
    "# Results",
    "Every number was measured by `python launch.py verify`, over seeds. A claim is one expected "
    "result of a source; each experiment's page shows its own. Claims that fail are kept.",
    "| family | claims | pass | undecided | fail |\n|---|---|---|---|---|",
  ]
  every = [(each, claim) for each in experiments for claim in each.claims]
  for name in [*families_of(experiments), ""]:
    verdicts = [claim["verdict"] for each, claim in every if name in (each.family, "")]
    counts = [verdicts.count(verdict) for verdict in ("pass", "undecided", "fail")]
    cells = [link(name, "family", name) if name else "**all**", len(verdicts), *counts]
    parts[-1] += "\n| " + " | ".join(map(str, cells)) + " |"
  for verdict, heading in (("fail", "Claims that fail"), ("undecided", "Undecided claims")):
    rows = [
      f"| {link(f'`{each.name}`', 'experiment', each.name)} | {escaped(claim['what'])} "
      f"| {escaped(claim['source'])} | {escaped(claim['ours'])} | {escaped(claim['bar'])} |"
      for each, claim in every
      if claim["verdict"] == verdict
    ]
    if rows:
      head = "| experiment | claim | source | ours | bar |\n|---|---|---|---|---|"
      parts.append(f"## {heading}\n\n{head}\n" + "\n".join(rows))
  return "\n\n".join(parts)


def sources(summaries: Mapping[str, str], names: Names) -> str:
  """All source files by package, each with the first line of its docstring."""
  parts = ["# Source", "Every file, highlighted; names that it imports are links."]
  packages: dict[str, list[str]] = {}
  for path in summaries:
    packages.setdefault(path.rpartition("/")[0], []).append(path)
  for package, paths in packages.items():
    rows = [
      f"- {link(f'`{Path(path).name}`', 'source', path)} {inline(summaries[path], names)}"
      for path in paths
    ]
    parts.append(f"## {package or 'The entry point'}\n\n" + "\n".join(rows))
  return "\n\n".join(parts)
