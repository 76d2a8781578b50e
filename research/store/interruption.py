"""SIGTERM and Ctrl-C, answered as soon as nothing can be lost.

`leave_at_once` serves a process that has nothing to save yet, an `Interruption` one that runs.
A thread beside the main one sees signals that come while compiled code runs.
"""

import _thread
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from research.errors import InterruptedRun

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 4.0  # seconds between a signal and the end of a process that does not come to answer it
RESUME = "interrupted; give the same command to resume"


def leave_at_once() -> None:
  """Lets a signal end the process where it stands, until an `Interruption` takes over.

  It also lets through signals that were held back while the process replaced itself.
  """
  # The thread inherits it: a signal that it took while the process replaces itself would be lost.
  signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
  read, write = os.pipe()
  os.set_blocking(write, False)
  for number in SIGNALS:
    signal.signal(number, lambda number, frame: _leave(number, "interrupted"))
  signal.set_wakeup_fd(write)

  def wait() -> None:
    while True:
      (number,) = os.read(read, 1)
      if number in SIGNALS:
        _leave(number, "interrupted")

  _thread.start_new_thread(wait, ())
  signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class Interruption:
  """Answers the first SIGTERM or SIGINT; a second one ends the process at once.

  The first raises `InterruptedRun` in the main thread, except within `asked`, where the caller
  looks at `signal_number` between two compiled calls. A process that is still there after
  `PATIENCE` seconds, and does not save, is ended: the next one goes on from the last checkpoint.
  """

  def __init__(self, signals: Sequence[int] = SIGNALS) -> None:
    self.signal_number: int | None = None
    self._signals = signals
    self._asked = self._saving = 0  # how deep inside of each
    self._is_owed = False  # a signal came, and nothing was raised yet
    self._nudges = 0  # signals to ourselves that did not arrive yet
    self._main_thread = _thread.get_ident()
    if signals:
      read, self._write = os.pipe()
      os.set_blocking(self._write, False)
      self._before = {number: signal.signal(number, self._catch) for number in signals}
      self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
      self._hook_before = sys.unraisablehook
      sys.unraisablehook = self._was_swallowed
      _thread.start_new_thread(self._watch, (read,))

  @contextlib.contextmanager
  def asked(self) -> Iterator[None]:
    """Only notes a signal while the context lasts; raises `InterruptedRun` at its end."""
    self._asked += 1
    try:
      yield
    except InterruptedRun:
      self._is_owed = False
      raise
    finally:
      self._asked -= 1
    if self._is_owed and not self._asked:
      self._raise()

  @contextlib.contextmanager
  def saving(self) -> Iterator[None]:
    """Lets only a second signal end the process while the context lasts."""
    self._saving += 1
    try:
      yield
    finally:
      self._saving -= 1

  def release(self) -> None:
    """Restores the signal handlers and the hook that were there before."""
    if self._signals:
      for number, handler in self._before.items():
        signal.signal(number, handler)
      signal.set_wakeup_fd(self._wakeup_before)
      os.close(self._write)
      if sys.unraisablehook == self._was_swallowed:
        sys.unraisablehook = self._hook_before
      self._signals = ()

  def _catch(self, number: int, frame: FrameType | None) -> None:
    if self.signal_number is None:
      self.signal_number, self._is_owed = number, True
      what = "saving, then leaving" if self._asked or self._saving else "leaving"
      _say(f"{signal.Signals(number).name}: {what} (once more to leave at once)")
    if self._is_owed and not (self._asked or self._saving or _is_importing(frame)):
      self._raise()

  def _raise(self) -> None:
    assert self.signal_number is not None
    self._is_owed = False
    raise InterruptedRun(self.signal_number, RESUME)

  def _was_swallowed(self, unraisable: Any) -> None:
    """Raises again what a callback or a destructor dropped, as these do with exceptions."""
    if issubclass(unraisable.exc_type, InterruptedRun):
      self._is_owed = True
    else:
      self._hook_before(unraisable)

  def _watch(self, read: int) -> None:
    first: signal.Signals | None = None
    since = 0.0
    while True:
      if select.select([read], [], [], 0.1 if first else None)[0]:
        came = os.read(read, 1)
        if not came:  # released
          os.close(read)
          return
        number = came[0]
        if number not in self._signals:
          continue
        if self._nudges:
          self._nudges -= 1
        elif first:
          os._exit(128 + number)
        else:
          first, since = signal.Signals(number), time.monotonic()
      elif first is None or self._saving:
        since = time.monotonic()
      elif time.monotonic() - since > PATIENCE:
        _leave(first, RESUME)
      elif self._is_owed and not self._asked and not self._nudges:
        self._nudges += 1
        signal.pthread_kill(self._main_thread, first)


def _is_importing(frame: FrameType | None) -> bool:
  """Tells whether a module is being imported; compiled ones turn any exception into ImportError."""
  while frame is not None:
    if frame.f_code.co_filename.startswith("<frozen importlib"):
      return True
    frame = frame.f_back
  return False


def _leave(number: int, line: str) -> None:
  _say(line)
  os._exit(128 + number)


def _say(line: str) -> None:
  # Not sys.stderr: the signal may have come in the middle of a write to it, which is an error.
  with contextlib.suppress(OSError):
    os.write(2, f"\n{line}\n".encode())
