import io
import re

import pytest

from research.store import progress
from research.store.progress import Progress

pytestmark = pytest.mark.fast


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  """A clock that the test sets."""

  class Clock:
    now = 100.0

  monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
  return Clock


def test_a_file_gets_plain_lines_now_and_then(clock):
  stream = io.StringIO()
  shown = Progress("train", 100, stream)
  for step in range(1, 101):
    clock.now += 1
    shown.update(step, 0.5)
  shown.finish()
  text = stream.getvalue()
  assert "\r" not in text and "\033" not in text and text.endswith("\n")
  assert len(text.splitlines()) == 10  # one every ten seconds; the last step is one of them
  assert "step 100 of 100" in text.splitlines()[-1] and "loss 0.5" in text


def test_a_terminal_gets_one_live_line(clock):
  stream = Terminal()
  shown = Progress("train", 1000, stream)
  for step in range(10, 1001, 10):
    clock.now += 0.05
    shown.update(step, 0.25)
  shown.finish()
  text = stream.getvalue()
  assert text.count("\n") == 1 and text.endswith("\n")
  assert 30 <= text.count("\r\033[K") <= 60  # ten times a second at most
  assert "step 1,000 of 1,000" in text.rsplit("\r", 1)[1]


def test_a_terminal_that_saw_nothing_gets_no_empty_line():
  stream = Terminal()
  Progress("train", 10, stream).finish()
  assert stream.getvalue() == ""


def test_the_rate_leaves_compilation_out_and_the_time_left_follows_from_it(clock):
  stream = Terminal()
  shown = Progress("train", 8_000, stream)
  clock.now += 60  # compiles
  shown.update(100, 1.0)
  assert "steps/s" not in stream.getvalue() and "left" not in stream.getvalue()
  clock.now += 10
  shown.update(300, 1.0)
  last = stream.getvalue().rsplit("\r", 1)[1]
  assert re.search(r"\b20\.0 steps/s", last), last
  assert "6:25 left" in last  # 7,700 steps at 20 a second
  clock.now += 0.05
  shown.update(310, 1.0)  # too soon
  assert stream.getvalue().rsplit("\r", 1)[1] == last


@pytest.mark.parametrize(
  ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (61, "1:01"), (3661, "1:01:01")]
)
def test_clock_writes_hours_minutes_and_seconds(seconds, text):
  assert progress.clock(seconds) == text


def test_a_loss_that_is_not_finite_is_shown(clock):
  stream = io.StringIO()
  Progress("train", 1, stream).update(1, float("nan"))
  assert "loss nan" in stream.getvalue()
