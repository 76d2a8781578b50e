"""Errors that speak to the person at the command line.

A `UserError` is one line that names the thing, the value and the way out; `launch.py` prints it and
leaves with its exit code, without a traceback.
"""

from collections.abc import Iterable

MOST_NAMES = 12  # that are listed in one line


class UserError(Exception):
  """Bad input or a state of the machine that the user can mend. Exit code 2."""

  exit_code = 2


class DataUnavailableError(UserError):
  """A data set could not be had from any of its sources."""


class DivergedError(UserError):
  """The training loss stopped being finite. Exit code 3; the last good checkpoint is kept."""

  exit_code = 3


class DiskFullError(UserError):
  """The disk filled up while a run was writing. Exit code 4; the last whole checkpoint is kept."""

  exit_code = 4


class OutOfMemoryError(UserError):
  """The machine or the device has too little memory for these settings."""


class InterruptedRun(BaseException):
  """A signal asked the run to stop; everything is saved. The exit code is 128 + the signal.

  Like KeyboardInterrupt it passes by whoever catches every Exception.
  """

  def __init__(self, signal_number: int, message: str):
    super().__init__(message)
    self.exit_code = 128 + signal_number


def unknown_name(name: str, known: Iterable[str], what: str) -> str:
  """One line for a name that does not exist, with the nearest ones that do."""
  import difflib  # costs the first milliseconds of a process, in which signals are not caught yet

  known = list(known)
  near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
  if near:
    return f"unknown {what} {name!r}; did you mean {' or '.join(near)}?"
  listed = ", ".join(known) if len(known) <= MOST_NAMES else f"{len(known)} others, none like it"
  return f"unknown {what} {name!r}; known: {listed}"
