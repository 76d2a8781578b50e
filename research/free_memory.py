"""Checks that a planned allocation fits into memory, before it is made."""

import functools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from research.errors import OutOfMemoryError, UserError

COPIES = 2  # at the worst moment: while a checkpoint is being written
WORTH_SAYING = 2**24  # bytes


def reserve(what: str, size: int, way_out: str) -> None:
  """Says once what so many bytes are for, before they are taken.

  Args:
    what: takes them.
    size: in bytes.
    way_out: what to do where they are too many, as in "give a smaller --agent.replay_capacity".

  Raises:
    UserError: where they do not fit, twice over while a checkpoint is written.
  """
  refuse_beyond_room(what, size, way_out)
  if size >= WORTH_SAYING:
    _say(f"{what}: {in_words(size)}")


def refuse_beyond_room(what: str, size: int, way_out: str, *, besides: int = 0) -> None:
  """`reserve` without a word where there is room; `besides` are bytes that are never copied.

  Raises:
    UserError: where they do not fit.
  """
  room = available_bytes()
  if room is not None and COPIES * size + besides > room:
    raise UserError(
      f"{what} would take {in_words(size + besides)} ({in_words(COPIES * size + besides)} while "
      f"it is saved), and {in_words(room)} are free; {way_out}"
    )


@contextmanager
def out_of_memory_is_a_user_error() -> Iterator[None]:
  """Turns a failed allocation into one line, wherever it comes up.

  Raises:
    OutOfMemoryError: with the size that was asked for, where it is known.
  """
  try:
    yield
  except (MemoryError, RuntimeError) as error:  # XLA's own error is a RuntimeError
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not re.search(r"RESOURCE_EXHAUSTED: .*emory", text):
      raise
    raise OutOfMemoryError(
      f"the memory does not suffice ({text[:120]}); give smaller sizes or a smaller --batch_size"
    ) from error


@functools.cache  # the members of a comparison ask for the same
def _say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


def bytes_of(tree: object) -> int:
  """Bytes of all arrays of a tree, or of the shapes that stand for them."""
  return int(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)))


def in_words(size: int) -> str:
  """Bytes as MB or GB."""
  return f"{size / 1e9:.2f} GB" if size >= 10**9 else f"{size / 1e6:.1f} MB"


def available_bytes() -> int | None:
  """Free memory of the first device, or of the machine where devices share it; None if unknown."""
  device = jax.devices()[0]
  statistics = device.memory_stats() if device.platform != "cpu" else None
  if statistics:
    return int(statistics["bytes_limit"] - statistics["bytes_in_use"])
  limits = [kib * 1024 for kib in _numbers("/proc/meminfo", "MemAvailable:")]
  group = Path("/sys/fs/cgroup")
  most, used = _numbers(group / "memory.max"), _numbers(group / "memory.current")
  if most and used:
    # Files that were read count as used, and make room when they must.
    kept = _numbers(group / "memory.stat", "inactive_file")
    limits.append(most[0] - used[0] + sum(kept))
  if not limits and "SC_AVPHYS_PAGES" in os.sysconf_names:
    limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
  return min(limits) if limits else None


def _numbers(path: str | Path, name: str = "") -> list[int]:
  """The number behind a name in a file of the system, or the file's only one; [] where none is."""
  try:
    rows = [line.split() for line in Path(path).read_text().splitlines()]
  except OSError:
    return []
  found = [row[1] if name else row[0] for row in rows if not name or row[0] == name]
  return [int(number) for number in found if number.isdigit()]
