"""Checks that a planned allocation fits into memory, before it is made."""

import errno
import functools
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from research.errors import OutOfMemoryError, UserError

COPIES = 2  # at the worst moment: while a checkpoint is being written
WORTH_SAYING = 2**24  # bytes
# What a shell may limit, by the command that does: the limit, and what /proc calls the use of it.
LIMITS = {
  "ulimit -v": (resource.RLIMIT_AS, "VmSize:"),
  "ulimit -d": (resource.RLIMIT_DATA, "VmData:"),
}
# Bytes of them. On two cores 2.4 GB end in libraries that cannot be loaded, and once in a loss of
# nan that had no other cause; 2.7 GB do not.
LEAST = 4 * 10**9
# Words of the loader, of Python and of XLA, where an allocation failed that is no MemoryError.
LACKING = r"RESOURCE_EXHAUSTED: .*emory|failed to map segment|can't start new thread"


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
  except (MemoryError, RuntimeError, ImportError, SystemError, OSError) as error:
    text = " ".join(str(error).split())
    limits = _limits()
    is_lacking = (
      isinstance(error, MemoryError)
      or re.search(LACKING, text)
      or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
      # Compiled modules forget to say what failed.
      or (isinstance(error, SystemError) and limits)
    )
    if not is_lacking:
      raise
    way_out = "give smaller sizes or a smaller --batch_size"
    if limits:
      ways = " and ".join(f"{way} (now {in_words(limit)})" for way, limit in limits.items())
      way_out = f"raise {ways}, or {way_out}"
    why = f" ({text[:120]})" if text else ""
    raise OutOfMemoryError(f"the memory does not suffice{why}; {way_out}") from error


def refuse_small_limits() -> None:
  """Raises a UserError where the shell allows too little memory for JAX and a small net."""
  for way, limit in _limits().items():
    if limit < LEAST:
      raise UserError(
        f"{way} allows this process {in_words(limit)}, and JAX needs "
        f"{in_words(LEAST)}; raise it, as in {way} unlimited"
      )


def _limits() -> dict[str, int]:
  """Bytes that the shell allows, by the command that limits them."""
  soft = {way: resource.getrlimit(which)[0] for way, (which, _) in LIMITS.items()}
  return {way: limit for way, limit in soft.items() if limit != resource.RLIM_INFINITY}


@functools.cache  # the members of a comparison ask for the same
def _say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


def bytes_of(tree: object) -> int:
  """Bytes of all arrays of a tree, or of the shapes that stand for them."""
  import jax

  return int(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)))


def in_words(size: int) -> str:
  """Bytes as MB or GB."""
  return f"{size / 1e9:.2f} GB" if size >= 10**9 else f"{size / 1e6:.1f} MB"


def available_bytes() -> int | None:
  """Free memory of the first device, or of the machine where devices share it.

  None if it is unknown, and while programs are made for another machine: nothing is allocated then.
  """
  # Not above: the command line needs this module before the process is set up for JAX.
  import jax

  from research.target_platform import is_elsewhere

  if is_elsewhere():
    return None
  device = jax.devices()[0]
  statistics = device.memory_stats() if device.platform != "cpu" else None
  if statistics:
    return int(statistics["bytes_limit"] - statistics["bytes_in_use"])
  limits = [kib * 1024 for kib in _numbers("/proc/meminfo", "MemAvailable:")]
  for way, limit in _limits().items():
    limits += [limit - kib * 1024 for kib in _numbers("/proc/self/status", LIMITS[way][1])]
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
