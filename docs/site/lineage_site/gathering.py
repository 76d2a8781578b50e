"""All that the site is made of, gathered from the repository."""

import ast
import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lineage_site import ROOT, contents_pages, experiment_pages, notebook_pages, source_pages
from lineage_site.experiment_pages import Experiment
from lineage_site.facts import facts_of
from lineage_site.inventory import BOOKS, by_chapter
from lineage_site.play_pages import PAGES as PLAY_PAGES
from lineage_site.prose import Names
from lineage_site.source_pages import Place
from lineage_site.targets import Site, concept_anchors
from research.lab import registry
from research.lab.concepts import Concept
from research.lab.concepts import concepts as read_concepts
from research.reporting import origins, results_table
from research.reporting.next_steps import next_steps
from research.reporting.origins import System

_PUBLIC = re.compile(r"(?m)^```\{public\} (\w+)\n(.*?)^```", re.DOTALL)


class Material(NamedTuple):
  """What pages are made of.

  Attributes:
    experiments: by name, family by family in the order of learning.
    systems: rows of the inventory.
    concepts: of `experiments/concepts.toml`.
    publics: the public names with their places.
    uses: the files of experiments that use each public name.
    names: that texts may link to.
    site: the places that links lead to.
  """

  experiments: Mapping[str, Experiment]
  systems: Sequence[System]
  concepts: Sequence[Concept]
  publics: Mapping[str, Place]
  uses: Mapping[str, Sequence[str]]
  names: Names
  site: Site


@functools.cache
def gathered(root: Path = ROOT) -> Material:
  """Reads the repository once."""
  rows = origins.rows((root / "docs/inventory.md").read_text(encoding="utf-8"))
  concepts = read_concepts(root / "experiments")
  lessons = tomllib.loads((root / "docs/site/lessons.toml").read_text(encoding="utf-8"))
  stub = (root / "research/__init__.pyi").read_text(encoding="utf-8")
  publics = source_pages.public_names(stub, root)
  experiments = _experiments(root, rows, concepts, lessons)
  sources = source_pages.source_files(root)
  uses: dict[str, list[str]] = {}
  for experiment in experiments.values():
    for name in experiment.facts.publics:
      uses.setdefault(name, []).append(experiment.path)
  site = Site(
    experiments=experiments,
    systems={row.id for row in rows},
    sources=set(sources),
    publics={name: f"api/{page}" for page, name, _ in reference(root)},
    concepts=concept_anchors([concept.name for concept in concepts]),
    chapters={book.anchor(numbers) for book in BOOKS for numbers in by_chapter(rows, book)},
    families=set(contents_pages.families_of([*experiments.values()])),
    plays={page.name for page in PLAY_PAGES},
  )
  names = Names(set(experiments), site.systems, set(publics), site.sources)
  return Material(experiments, rows, concepts, publics, uses, names, site)


def reference(root: Path = ROOT) -> list[tuple[str, str, str]]:
  """The public names of the reference: page, name and example, in the pages' order."""
  return [
    (path.stem, name, example.strip("\n"))
    for path in sorted((root / "docs/site/api").glob("*.md"))
    for name, example in _PUBLIC.findall(path.read_text(encoding="utf-8"))
  ]


def _experiments(
  root: Path,
  rows: Sequence[System],
  concepts: Sequence[Concept],
  lessons: Mapping[str, Any],
) -> dict[str, Experiment]:
  claims = results_table.read(root / "RESULTS.md")
  found = []
  for entry in registry.catalogue(root / "experiments").values():
    path = f"experiments/{entry.family}/{entry.name}.py"
    found.append(
      Experiment(
        name=entry.name,
        family=entry.family,
        docstring=ast.get_docstring(ast.parse((root / path).read_text(encoding="utf-8"))) or "",
        path=path,
        facts=facts_of(root, path, lessons["code"].get(entry.name, ())),
        systems=[row for row in rows if entry.name in row.experiments],
        claims=[claim for claim in claims if claim["experiment"].strip("`") == entry.name],
        concepts=[each.name for each in concepts if entry.name in each.experiments],
        formulas=[(each["tex"], each["says"]) for each in lessons["formulas"].get(entry.name, ())],
        tries=next_steps(registry.load(entry)),
        pictures=experiment_pages.pictures_of(root / "docs", entry.name),
        play=[(page.name, page.title) for page in PLAY_PAGES if entry.name in page.experiments],
      )
    )
  order = contents_pages.families_of(found)
  found.sort(key=lambda each: order.index(each.family))
  return {each.name: each for each in found}


def pages(material: Material, root: Path = ROOT) -> dict[str, str]:
  """All generated pages: Markdown by the page's name."""
  experiments, names = material.experiments, material.names
  every = [*experiments.values()]
  found = {
    f"learn/experiments/{each.name}": experiment_pages.page(each, names, "../../..")
    for each in every
  }
  for family in contents_pages.families_of(every):
    module = ast.parse((root / f"experiments/{family}/__init__.py").read_text(encoding="utf-8"))
    inside = [each for each in every if each.family == family]
    found[f"learn/families/{family}"] = contents_pages.family(
      family, ast.get_docstring(module) or "", inside, names, "../../.."
    )
  for book in BOOKS:
    page = contents_pages.book(book, material.systems, experiments)
    found[f"learn/books/{book.key}"] = page
  notebooks = notebook_pages.notebooks(root / "docs/notebooks")
  found |= {f"learn/notebooks/{name}": text for name, text in notebooks.items()}
  inventory = (root / "docs/inventory.md").read_text(encoding="utf-8")
  summaries = {path: source_pages.summary(root, path) for path in source_pages.source_files(root)}
  return found | {
    "learn/families": contents_pages.all_families(every),
    "learn/notebooks": notebook_pages.contents(notebooks),
    "learn/books": contents_pages.books(),
    "learn/concepts": contents_pages.concepts(material.concepts, experiments),
    "learn/inventory": contents_pages.inventory(inventory, material.systems, names),
    "learn/results": contents_pages.results(every),
    "learn/source": contents_pages.sources(summaries, names),
  }
