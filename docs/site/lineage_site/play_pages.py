"""Interactive pages: one HTML file each, which holds its data and its script."""

from collections.abc import Callable
from typing import NamedTuple


class Play(NamedTuple):
  """An interactive page.

  Attributes:
    name: of its file.
    title: of the page.
    experiments: that it belongs to.
    html: makes the page.
  """

  name: str
  title: str
  experiments: tuple[str, ...]
  html: Callable[[], str]


PAGES: tuple[Play, ...] = ()
