import os
import signal
import subprocess
import sys
import time

import pytest

from research.store.interruption import Interruption
from tests.processes import ROOT


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_question(sent, capfd):
  before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
  interruption = Interruption()
  try:
    assert interruption.signal_number is None
    os.kill(os.getpid(), sent)
    assert interruption.signal_number == sent
    assert f"{sent.name}: saving" in capfd.readouterr().err
  finally:
    interruption.release()
  assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(
  ("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]
)
def test_the_second_signal_ends_the_process_at_once(first, second):
  program = (
    "import time; from research.store.interruption import Interruption; i = Interruption();"
    "print('ready', flush=True);"
    "exec('while i.signal_number is None: time.sleep(0.01)'); print('saving', flush=True);"
    "time.sleep(60)"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
  )
  assert process.stdout.readline() == "ready\n"
  process.send_signal(first)
  assert process.stdout.readline() == "saving\n"
  sent_at = time.monotonic()
  process.send_signal(second)
  assert process.wait(timeout=30) == 128 + second
  assert time.monotonic() - sent_at < 10


def test_a_signal_amid_a_write_to_stderr_is_no_error():
  # Python refuses to enter a buffered stream twice; a handler must not try.
  program = (
    "import signal, sys, os, threading; from research.store.interruption import Interruption\n"
    "class Stream:\n"
    "  def write(self, text): raise RuntimeError('reentrant call')\n"
    "  flush = write\n"
    "i = Interruption(); real, sys.stderr = sys.stderr, Stream()\n"
    "os.kill(os.getpid(), signal.SIGTERM); sys.stderr = real; print(i.signal_number)"
  )
  done = subprocess.run(
    [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
  )
  assert done.stdout == "15\n", done.stderr


def test_nothing_is_caught_where_nothing_is_asked_for():
  before = signal.getsignal(signal.SIGINT)
  assert Interruption(()).signal_number is None
  assert signal.getsignal(signal.SIGINT) is before
