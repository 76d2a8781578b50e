"""The documentation site: pages made from the project's own text, and the Sphinx extension.

Everything but `extension` and `directives` is pure functions from text to text; nothing here
imports the library that it describes, so that a build needs no accelerator and takes no side.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent  # of the repository
