"""Formulas as MathML, which browsers typeset by themselves: no script, no font, no network."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.writers.html5 import HTML5Translator


def inline(translator: HTML5Translator, node: nodes.math) -> None:
  """Writes a formula within a sentence."""
  translator.body.append(convert(node.astext()))
  raise nodes.SkipNode


def display(translator: HTML5Translator, node: nodes.math_block) -> None:
  """Writes a formula on its own line, which scrolls by itself where it is wider than the page."""
  formula = convert(node.astext(), display="block")
  translator.body.append(f'<div class="formula">{formula}</div>')
  raise nodes.SkipNode
