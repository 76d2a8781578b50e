"""Directives of the hand-written pages: a public name, and a section of a document."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from lineage_site import ROOT, public_pages, targets
from lineage_site.gathering import gathered


class Public(SphinxDirective):
  """A public name with all that is known of it; the content is a tested example."""

  required_arguments = 1
  has_content = True

  def run(self) -> list[nodes.Node]:
    """Makes the section."""
    material, (name,) = gathered(), self.arguments
    section = nodes.section(ids=[targets.public_anchor(name)], names=[])
    section += nodes.title("", "", nodes.literal("", name))
    example = "\n".join(self.content).strip("\n")
    text = public_pages.entry(
      ROOT, name, material.publics[name], material.names, material.uses, example
    )
    section += self.parse_text_to_nodes(text)
    return [section]
