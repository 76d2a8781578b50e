"""Where the site's own links lead."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from lineage_site.experiment_pages import slug
from lineage_site.source_pages import page_name


class Site(NamedTuple):
  """The places of the site.

  Attributes:
    experiments: by name.
    systems: ids of the inventory.
    sources: files.
    publics: the page of each public name.
    concepts: their anchors.
    chapters: anchors of the books' chapters, such as "saito-6".
    families: by name.
    plays: interactive pages.
  """

  experiments: Collection[str]
  systems: Collection[str]
  sources: Collection[str]
  publics: Mapping[str, str]
  concepts: Collection[str]
  chapters: Collection[str]
  families: Collection[str]
  plays: Collection[str]


def resolve(site: Site, kind: str, name: str) -> tuple[str, str]:
  """The page and the anchor ("" for the page's top) of a link.

  Raises:
    KeyError: where the site has no such place.
  """
  path, _, anchor = name.partition("#")
  kinds: dict[str, tuple[Collection[str], str, str]] = {
    "experiment": (site.experiments, f"learn/experiments/{name}", ""),
    "system": (site.systems, "learn/inventory", name),
    "source": (site.sources, page_name(path), anchor),
    "public": (site.publics, site.publics.get(name, ""), public_anchor(name)),
    "concept": (site.concepts, "learn/concepts", f"concept-{name}"),
    "chapter": (site.chapters, f"learn/books/{name.partition('-')[0]}", name),
    "book": ({name.partition("-")[0] for name in site.chapters}, f"learn/books/{name}", ""),
    "family": (site.families, f"learn/families/{name}", ""),
    "play": (site.plays, f"play/{name}", ""),
  }
  known, page, anchor = kinds[kind]
  if (path if kind == "source" else name) not in known:
    raise KeyError(f"{kind}/{name}")
  return page, anchor


def public_anchor(name: str) -> str:
  """The anchor of a public name; `Batch` and `batch` have different ones."""
  return f"ln.{name}"


def concept_anchors(names: Collection[str]) -> set[str]:
  """The anchors of concepts."""
  return set(map(slug, names))
