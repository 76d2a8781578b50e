"""Standard streams that stop no run: closed, full, left by their reader, or short of characters."""

import codecs
import errno
import io
import os
import sys
from typing import IO

PLAIN = {"≥": ">=", "≤": "<=", "±": "+-", "×": "x", "→": "->", "←": "<-", "²": "^2"}


def make_safe() -> None:
  """Replaces stdout and stderr by streams whose `write` and `flush` never raise."""
  codecs.register_error("plainly", _plainly)
  sys.stdout, sys.stderr = _safe(sys.stdout, 1), _safe(sys.stderr, 2)


def failure() -> str | None:
  """The reason why stdout lost something that somebody would have read."""
  sys.stdout.flush()
  return getattr(sys.stdout, "failure", None)


class Safe(io.TextIOWrapper):
  """A stream of text that goes nowhere from the first failure on.

  Attributes:
    failure: why, in words; None where nothing was lost but to a reader who left.
  """

  failure: str | None = None

  def write(self, text: str) -> int:
    """Does as any stream."""
    try:
      return super().write(text)
    except OSError as error:
      self._lose(error)
      return len(text)

  def flush(self) -> None:
    """Does as any stream."""
    try:
      super().flush()
    except OSError as error:
      self._lose(error)

  def _lose(self, error: OSError) -> None:
    if error.errno != errno.EPIPE:
      self.failure = os.strerror(error.errno or 0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, self.fileno())
    os.close(nowhere)


def _safe(stream: IO[str] | None, number: int) -> Safe:
  if stream is None:  # closed: the next file that is opened must not get its number
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
      os.dup2(nowhere, number)
      os.close(nowhere)
    os.set_inheritable(number, True)
    return Safe(open(number, "wb", closefd=False), "utf-8", line_buffering=True)
  assert isinstance(stream, io.TextIOWrapper)
  encoding = stream.encoding
  return Safe(stream.detach(), encoding, "plainly", line_buffering=True)


def _plainly(error: UnicodeError) -> tuple[str, int]:
  """Replaces characters that an encoding lacks by plainer ones, or by their numbers."""
  assert isinstance(error, UnicodeEncodeError)
  lacking = error.object[error.start : error.end]
  plain = (PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
  return "".join(plain), error.end
