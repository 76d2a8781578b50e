"""The time that compiled calls take."""

import time
from collections.abc import Callable
from typing import Any

import jax


def shortest_call(call: Callable[[], Any], calls: int) -> float:
  """Seconds of the fastest of several calls, after one that compiles.

  Other work on the computer can only make a call longer, so that the shortest is the best guess.
  """
  jax.block_until_ready(call())
  seconds = []
  for _ in range(calls):
    start = time.perf_counter()
    jax.block_until_ready(call())
    seconds.append(time.perf_counter() - start)
  return min(seconds)
