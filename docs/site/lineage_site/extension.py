"""The Sphinx extension: writes the generated pages, resolves links, adds the source files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from lineage_site import ROOT, mathml, play_pages, prose, source_pages, targets
from lineage_site.directives import Public
from lineage_site.gathering import Material, gathered, pages

_SECTION = re.compile(r"(?m)^<!-- (README|CONTRIBUTING|ARCHITECTURE): (.+?) -->$")
_COUNT = re.compile(r"<!-- (experiments|claims|passed|systems) -->")
_REPOSITORY = re.compile(r"^(?:\.\./)*(research|experiments)/([\w/]+\.py)$")
_PLACES = {
  "RESULTS.md": "/learn/results.md",
  "docs/inventory.md": "/learn/inventory.md",
  "docs/gallery": "/learn/families.md",
  "docs/notebooks": "/learn/notebooks.md",
  "CONTRIBUTING.md": "/howto/add_an_experiment.md",
  "ARCHITECTURE.md": "/architecture.md",
}
# The whole tree would make each page of source three times as long, and the build, too.
_SIDEBAR = [
  f"sidebar/{part}.html" for part in ("brand", "search", "scroll-start", "source", "scroll-end")
]
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
  """Registers everything."""
  app.add_html_math_renderer("mathml", (mathml.inline, None), (mathml.display, None))
  app.add_directive("public", Public)
  app.connect("builder-inited", write_pages)
  app.connect("source-read", include_sections)
  app.connect("doctree-resolved", resolve_links)
  app.connect("html-collect-pages", source_htmls)
  app.connect("build-finished", write_plays)
  return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
  """Writes the generated pages beside the others; what has not changed is left alone."""
  written = set()
  for name, text in pages(gathered()).items():
    path = Path(app.srcdir) / f"{name}.md"
    written.add(path)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text, encoding="utf-8")
  for old in set((Path(app.srcdir) / "learn").rglob("*.md")) - written:
    old.unlink()


def include_sections(app: Sphinx, name: str, source: list[str]) -> None:
  """Puts a section of a document in place of the comment that names it."""
  del app, name
  text = _SECTION.sub(lambda match: section_of(match[1], match[2]), source[0])
  text = text.replace("<!-- play -->", play_pages.contents())
  source[0] = _COUNT.sub(lambda match: f"{counts(gathered())[match[1]]:,}", text)


def counts(material: Material) -> dict[str, int]:
  """How much there is of what."""
  verdicts = [claim["verdict"] for each in material.experiments.values() for claim in each.claims]
  return {
    "experiments": len(material.experiments),
    "claims": len(verdicts),
    "passed": verdicts.count("pass"),
    "systems": len(material.systems),
  }


def section_of(document: str, heading: str) -> str:
  """A section of a document of the repository, whose links lead to pages of the site.

  Raises:
    KeyError: where there is no such heading, or a link leads to what the site does not have.
  """
  text = (ROOT / f"{document}.md").read_text(encoding="utf-8")
  body = text.split("\n", 1)[1].strip() if heading == "all" else prose.section(text, heading)
  return prose.relinked(body, _place)


def _place(target: str) -> str:
  if match := _REPOSITORY.match(target):
    return f"{prose.SCHEME}:source/{match[1]}/{match[2]}"
  if target == "benchmarks/README.md":
    return "/benchmarks.md"
  if target not in _PLACES:
    raise KeyError(f"no page of the site stands for {target}; say in _PLACES which one does")
  return _PLACES[target]


def resolve_links(app: Sphinx, doctree: nodes.document, name: str) -> None:
  """Replaces the site's own links by relative addresses; warns of one that leads nowhere."""
  for node in doctree.findall(nodes.reference):
    scheme, _, rest = node.get("refuri", "").partition(":")
    if scheme != prose.SCHEME:
      continue
    kind, _, place = rest.partition("/")
    try:
      page, anchor = targets.resolve(gathered().site, kind, place)
    except KeyError:
      _log.warning("a link to %s leads nowhere", rest, location=name)
      continue
    node["refuri"] = app.builder.get_relative_uri(name, page) + (
      f"#{quote(anchor)}" if anchor else ""
    )
    node["internal"] = True


def source_htmls(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
  """The highlighted pages of the source files."""
  material = gathered()
  for path in sorted(material.site.sources):
    page = source_pages.page_name(path)
    uri = lambda name, page=page: app.builder.get_relative_uri(page, name)
    code = source_pages.code(ROOT, path, _links(material, path, uri))
    stem = Path(path).stem
    about = (
      f'<p>The experiment <a href="{uri(f"learn/experiments/{stem}")}">{stem}</a>.</p>'
      if path.startswith("experiments/")
      else f'<p><a href="{uri("learn/source")}">All files</a></p>'
    )
    body = f'<div class="source"><h1>{path}</h1>{about}{code}</div>'
    context = {"title": path, "body": body, "sidebars": _SIDEBAR, "toctree": lambda **_: ""}
    yield page, context, "page.html"


def _links(material: Material, path: str, uri: Any) -> dict[str, str]:
  found = {}
  for name, place in source_pages.targets(ROOT, path).items():
    file, _, anchor = place.partition("#")
    if file in material.site.sources:
      found[name] = uri(source_pages.page_name(file)) + (f"#{anchor}" if anchor else "")
  for name, page in material.site.publics.items():
    found[f"ln.{name}"] = f"{uri(page)}#{targets.public_anchor(name)}"
  return found


def write_plays(app: Sphinx, error: Exception | None) -> None:
  """Writes the interactive pages, which stand alone."""
  if error is None and app.builder.format == "html":
    for page in play_pages.PAGES:
      path = Path(app.outdir) / "play" / f"{page.name}.html"
      path.parent.mkdir(exist_ok=True)
      data = play_pages.computed(page, Path(app.doctreedir) / "play")
      path.write_text(play_pages.html(page, data), encoding="utf-8")
