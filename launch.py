"""The entry point of the command line, which is in `research/cli/main.py`."""

from research.store import interruption

if __name__ == "__main__":  # before the imports, amid which nothing may be raised
  interruption.leave_at_once()

import sys

from research.cli.main import command, main

__all__ = ["command", "main"]

if __name__ == "__main__":
  sys.exit(command())
