"""The documentation site: pages made from the project's own text, and the Sphinx extension.

Everything but `extension` and `directives` is pure functions from text to text. Sources are read;
the library computes the data of interactive pages, and what to try next.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent  # of the repository
