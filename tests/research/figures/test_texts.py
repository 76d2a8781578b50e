"""Texts as figures."""

import pytest

from research.figures.texts import text_columns

pytestmark = pytest.mark.fast


def test_a_column_holds_its_texts_without_mathematics_or_missing_glyphs():
  figure = text_columns(
    {"a": ["one $x$ two", "\u23ef play"], "b": ["word " * 60]}, title="Texts", caption=""
  ).figure
  first, second = (axes.texts[0].get_text() for axes in figure.axes)
  assert "\\$x\\$" in first and "\u23ef" not in first and "play" in first
  assert second.count("\n") == 2 and second.endswith("[...]")
  figure.draw_without_rendering()
