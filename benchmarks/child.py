"""How a side of a comparison talks to `training.py`: lines of JSON, at the start and per turn."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def seconds_since_process_start() -> float:
  """Wall time since this process was started, imports and interpreter included."""
  after_command = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
  started = float(after_command[19]) / 100  # clock ticks after boot, field 22 of proc(5)
  return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def serve(first: dict[str, Any], train: Callable[[], int], turn_seconds: float) -> None:
  """Reports `first`, then trains for `turn_seconds` whenever a line arrives on standard input.

  Args:
    first: what was measured before.
    train: makes some steps, waits for them, and returns how many.
    turn_seconds: length of a turn.
  """
  print(json.dumps(first), flush=True)
  for _ in sys.stdin:
    steps, started, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < turn_seconds:
      steps += train()
    turn = {
      "steps_per_second": steps / (time.perf_counter() - started),
      "processor_seconds_per_step": (time.process_time() - processor) / steps,
      "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(turn), flush=True)
