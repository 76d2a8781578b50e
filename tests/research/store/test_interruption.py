import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time

import pytest

from research.errors import InterruptedRun
from research.store.interruption import Interruption
from tests.fixtures.processes import ROOT


@pytest.fixture
def interruption():
  before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
  hook = sys.unraisablehook
  caught = Interruption()
  yield caught
  caught.release()
  assert {number: signal.getsignal(number) for number in before} == before
  assert sys.unraisablehook == hook


def send(number=signal.SIGTERM):
  os.kill(os.getpid(), number)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_raises_outside_of_asked(interruption, sent, capfd):
  with pytest.raises(InterruptedRun, match="same command") as raised:
    send(sent)
  assert raised.value.exit_code == 128 + sent
  assert f"{sent.name}: leaving" in capfd.readouterr().err


def test_a_signal_inside_of_asked_is_noted_and_never_lost(interruption, capfd):
  with pytest.raises(InterruptedRun), interruption.asked():
    with interruption.asked():
      send()
      assert interruption.signal_number == signal.SIGTERM
      time.sleep(0.3)  # longer than the time between two nudges
    done = True  # the outer one is still there
  assert done and "SIGTERM: saving" in capfd.readouterr().err
  with interruption.asked():  # it was raised once; now somebody unwinds
    time.sleep(0.3)


class Dropping:
  def __del__(self):
    send()


def in_a_destructor(tmp_path):
  Dropping()


def in_an_import(tmp_path):
  (tmp_path / "sends_a_signal.py").write_text(
    "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.2); whole = True"
  )
  module = importlib.import_module("sends_a_signal")
  assert module.whole


def in_what_catches_every_exception(tmp_path):
  with contextlib.suppress(Exception):
    send()


@pytest.mark.parametrize("place", [in_a_destructor, in_an_import, in_what_catches_every_exception])
def test_no_destructor_import_or_except_swallows_a_signal(
  interruption, place, tmp_path, monkeypatch, capfd
):
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(InterruptedRun):
    place(tmp_path)
    time.sleep(2)
  assert "ignored" not in capfd.readouterr().err


BEGIN = """
import os, signal, sys, time
from research.store import interruption
from research.store.interruption import Interruption
interruption.PATIENCE = 0.4
def send(): os.kill(os.getpid(), signal.SIGTERM)
"""
STUBBORN = {
  "does not answer": ("i = Interruption()\nwith i.asked(): send(); time.sleep(60)", 143),
  "drops it": (
    "i = Interruption()\ntry: send(); time.sleep(60)\nexcept BaseException: time.sleep(60)",
    143,
  ),
  "is amid compiled code": (
    "import hashlib, threading\ni = Interruption()\nthreading.Timer(0.2, send).start()\n"
    "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
    143,
  ),
  "was asked twice": (
    "i = Interruption()\nwith i.saving(): send(); time.sleep(0.2); os.kill(os.getpid(), 2); "
    "time.sleep(60)",
    130,
  ),
  "saves": ("i = Interruption()\nwith i.saving(): send(); time.sleep(0.8)\nsys.exit(7)", 7),
  "has nothing to save": ("interruption.leave_at_once()\nsend(); time.sleep(60)", 143),
  "is given back": (
    "interruption.leave_at_once()\ni = Interruption()\ni.release()\nsend(); time.sleep(60)",
    143,
  ),
  "held signals back": (
    "signal.pthread_sigmask(signal.SIG_BLOCK, [15])\nsend()\ninterruption.leave_at_once()\n"
    "time.sleep(60)",
    143,
  ),
  "reads its stderr": (  # Python refuses to enter a buffered stream twice; a handler must not try
    "class Stream:\n  def write(self, text): raise RuntimeError('reentrant call')\n  flush = write\n"
    "i, sys.stderr = Interruption(), Stream()\nwith i.asked():\n  send(); os._exit(9)",
    9,
  ),
}


@pytest.mark.parametrize("process", STUBBORN)
def test_a_process_is_ended_with_the_code_of_its_signal_unless_it_saves(process):
  text, code = STUBBORN[process]
  done = subprocess.run(
    [sys.executable, "-S", "-c", BEGIN + text],
    check=False,
    capture_output=True,
    text=True,
    cwd=ROOT,
    timeout=30,
  )
  assert done.returncode == code, done.stderr
  assert "Traceback" not in done.stderr


def test_an_interruption_without_signals_installs_no_handler():
  before = signal.getsignal(signal.SIGINT)
  assert Interruption(()).signal_number is None
  assert signal.getsignal(signal.SIGINT) is before
