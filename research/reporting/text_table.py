"""Tables as plain text, for the terminal."""

from collections.abc import Sequence


def text_lines(rows: Sequence[Sequence[str]]) -> list[str]:
  """The rows as lines whose columns stand under each other, two spaces apart."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return [
    "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for row in rows
  ]
