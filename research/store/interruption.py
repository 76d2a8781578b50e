"""SIGTERM and Ctrl-C as a question that a run asks itself between dispatches."""

import os
import signal
from collections.abc import Sequence
from types import FrameType


class Interruption:
  """Catches the first SIGTERM or SIGINT; a second one ends the process at once."""

  def __init__(self, signals: Sequence[int] = (signal.SIGTERM, signal.SIGINT)) -> None:
    self.signal_number: int | None = None
    self._before = {number: signal.signal(number, self._catch) for number in signals}

  def _catch(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self.signal_number is not None:
      os._exit(128 + number)
    self.signal_number = number
    name = signal.Signals(number).name
    # Not sys.stderr: the signal may have come in the middle of a write to it, which is an error.
    os.write(2, f"\n{name}: saving, then leaving (once more to leave at once)\n".encode())

  def release(self) -> None:
    """Puts back the handlers that were there before."""
    for number, handler in self._before.items():
      signal.signal(number, handler)
