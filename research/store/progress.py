"""Progress of a fit: one live line in a terminal, a plain line now and then elsewhere."""

import sys
import time
from typing import TextIO

SECONDS_BETWEEN_PLAIN_LINES = 10.0


class Line:
  """A line of text, renewed at most ten times a second; without a terminal, now and then."""

  def __init__(self, stream: TextIO | None = None):
    """Starts the clock; the stream is by default stderr."""
    self._stream = stream or sys.stderr
    self._is_terminal = self._stream.isatty()
    self._interval = 0.1 if self._is_terminal else SECONDS_BETWEEN_PLAIN_LINES
    self._shown = time.monotonic()
    self._has_shown = False

  def is_due(self) -> bool:
    """Tells whether it is time for another text."""
    return time.monotonic() - self._shown >= self._interval

  def show(self, text: str) -> None:
    """Shows the text now."""
    self._shown, self._has_shown = time.monotonic(), True
    self._stream.write(f"\r\033[K{text}" if self._is_terminal else text + "\n")
    self._stream.flush()

  def finish(self) -> None:
    """Ends the live line."""
    if self._is_terminal and self._has_shown:
      self._stream.write("\n")


class Progress:
  """Shows steps done, steps per second, loss and time left."""

  def __init__(self, name: str, steps: int, stream: TextIO | None = None):
    """Starts the clock.

    Args:
      name: of the fit.
      steps: where the fit ends.
      stream: by default stderr.
    """
    self._name, self._steps = name, steps
    self._line = Line(stream)
    self._warmed: tuple[int, float] | None = None

  def update(self, step: int, loss: float) -> None:
    """Shows that `step` updates are done, and their loss."""
    now = time.monotonic()
    if self._warmed is None:  # the first call held the compilation: time from here on
      self._warmed = (step, now)
    if not self._line.is_due() and step < self._steps:
      return
    text = f"{self._name}: step {step:,} of {self._steps:,}  loss {loss:.4g}"
    since, at = self._warmed
    if step > since:
      rate = (step - since) / max(now - at, 1e-9)
      text += f"  {rate:,.1f} steps/s  {clock((self._steps - step) / rate)} left"
    self._line.show(text)

  def finish(self) -> None:
    """Ends the live line."""
    self._line.finish()


def clock(seconds: float) -> str:
  """Returns seconds as hours, minutes and seconds, such as 1:02:03."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def duration(seconds: float) -> str:
  """Seconds in the unit that suits them: "8 s", "12 min", "3.4 h"."""
  if seconds < 100:
    return f"{seconds:.0f} s"
  return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
