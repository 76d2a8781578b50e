"""Checkpoints; no other module imports Orbax.

A checkpoint is a flat dictionary of host arrays by name plus a small JSON value. Host arrays make
it independent of the number of devices, and a checksum per array makes damage visible: Orbax
itself accepts flipped bytes silently and tries nothing older when a file is torn.
"""

import contextlib
import functools
import gc
import json
import logging
import math
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from research.store.files import disk_full_is_a_user_error

CHATTY = ("absl", "asyncio")  # loggers that Orbax's saves write to


class Snapshot(NamedTuple):
  """A state on the host at some step.

  Attributes:
    step: number of updates that were made.
    arrays: name to array; keys as their raw data.
    about: a JSON value that is stored beside it.
  """

  step: int
  arrays: dict[str, np.ndarray]
  about: dict[str, Any]


def steps(folder: Path) -> list[int]:
  """Returns the steps that were saved, without importing Orbax, which takes long."""
  names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
  return sorted(int(name) for name in names if name.isdigit())


def exists(folder: Path) -> bool:
  """Tells whether there is anything to restore."""
  return bool(steps(folder))


def best_score(folder: Path) -> float | None:
  """Returns the highest score of a checkpoint that is there; None where none was scored."""
  found = []
  for step in steps(folder):
    with contextlib.suppress(OSError, ValueError):
      found.append(_score(folder, step))
  return max((score for score in found if score is not None), default=None)


def best_step(folder: Path) -> int | None:
  """Returns the first step with the highest score, else the last; None where none was saved.

  It imports no Orbax, and does not tell whether the checkpoint is whole.
  """
  best: tuple[float, int] | None = None
  for step in steps(folder):
    try:
      score = _score(folder, step)
    except (OSError, ValueError):
      continue
    if score is not None and (best is None or score > best[0]):
      best = score, step
  return best[1] if best else max(steps(folder), default=None)


class Checkpoints:
  """The checkpoints in one folder: the latest two, the best one by a score, and every n-th step.

  Orbax is imported, and a folder that is to be written made, at the first call that needs them.
  """

  def __init__(
    self,
    folder: Path,
    *,
    warn: Callable[[str], None],
    read_only: bool = False,
    keep_every: int = 0,
  ):
    """Touches nothing yet.

    Args:
      folder: where the checkpoints live.
      warn: told in one line about each damaged checkpoint.
      read_only: whether to leave damaged checkpoints where they are; the folder may be in use.
      keep_every: of which number of steps the multiples stay too; 0 for none.
    """
    self._folder = folder.absolute()
    self._warn, self._read_only, self._keep_every = warn, read_only, keep_every
    self._left_out = set[int]()

  @functools.cached_property
  def _manager(self) -> Any:
    """Orbax's manager of the folder, opened at first use."""
    import orbax.checkpoint as ocp
    from orbax.checkpoint import checkpoint_managers as policies

    for step in steps(self._folder):  # Orbax stops at the first score that it cannot read
      try:
        _score(self._folder, step)
      except (OSError, ValueError) as error:
        self._leave_out(step, error)
    keep = policies.AnyPreservationPolicy(
      [
        policies.LatestN(2),
        policies.BestN(
          get_metric_fn=lambda metrics: metrics["score"],
          n=1,
          keep_checkpoints_without_metrics=False,
        ),
        *([policies.EveryNSteps(self._keep_every)] if self._keep_every else []),
      ]
    )
    with _quiet():
      return ocp.CheckpointManager(
        self._folder,
        # Without best_fn the scores are forgotten with the process, and the best is deleted later.
        options=ocp.CheckpointManagerOptions(
          preservation_policy=keep,
          best_fn=lambda metrics: metrics["score"],
          create=not self._read_only,
          read_only=self._read_only,
          lightweight_initialize=self._read_only,  # a reader leaves torn scores where they are
        ),
        item_names=("state", "about"),
      )

  @classmethod
  def held(
    cls,
    folder: Path,
    *,
    warn: Callable[[str], None],
    best: bool = True,
    step: int | None = None,
  ) -> Snapshot | None:
    """Reads the best or the latest checkpoint in a folder that may be in use; None if none is.

    With a step, the checkpoint of that step alone.
    """
    if not exists(folder) or (step is not None and step not in steps(folder)):
      return None
    checkpoints = cls(folder, warn=warn, read_only=True)
    if step is not None:
      snapshot = checkpoints._restore(step)
    else:
      snapshot = checkpoints.best() if best else checkpoints.latest()
    checkpoints.close()
    return snapshot

  def save(self, snapshot: Snapshot, *, score: float | None = None) -> None:
    """Starts a save in the background; it is whole or absent whenever the process dies.

    Raises:
      DiskFullError: when this save, or the one before it, found no space.
    """
    import orbax.checkpoint as ocp

    with disk_full_is_a_user_error(self._folder), _quiet():
      if snapshot.step in self._manager.all_steps():
        return  # made before a crash, from the same numbers
      arrays = {name: array for name, array in snapshot.arrays.items() if array.size}
      about = {
        "checksums": _checksums(arrays),
        # A copy, for it is written in the background while the caller's goes on to change.
        "about": json.loads(json.dumps(snapshot.about)),
        "checksum": _text_checksum(snapshot.about),
      }
      self._manager.save(
        snapshot.step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(arrays), about=ocp.args.JsonSave(about)
        ),
        metrics=None if score is None else {"score": score},
      )

  def latest(self) -> Snapshot | None:
    """Returns the last whole checkpoint; sets damaged ones aside with a warning."""
    for step in sorted(self._whole_steps(), reverse=True):
      snapshot = self._restore(step)
      if snapshot is not None:
        return snapshot
    return None

  def best(self) -> Snapshot | None:
    """Returns the first checkpoint with the highest score; the latest where none was scored."""
    scores = {step: _score(self._folder, step) for step in self._whole_steps()}
    scored = {step: score for step, score in scores.items() if score is not None}
    for step in sorted(scored, key=lambda step: (-scored[step], step)):
      snapshot = self._restore(step)
      if snapshot is not None:
        return snapshot
    return self.latest()

  def forget_scores(self) -> None:
    """Removes all scores, so that the best checkpoint is looked for anew."""
    for step in self._manager.all_steps():
      shutil.rmtree(self._folder / str(step) / "metrics", ignore_errors=True)
    self._manager.reload()

  def _restore(self, step: int) -> Snapshot | None:
    import orbax.checkpoint as ocp

    try:
      with _quiet():
        restored = self._manager.restore(
          step,
          args=ocp.args.Composite(state=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()),
        )
      arrays, about = dict(restored["state"]), restored["about"]
      wrong = [
        name
        for name, checksum in about["checksums"].items()
        if name not in arrays or _checksum(arrays[name]) != checksum
      ]
      if wrong:
        raise ValueError(f"checksum of {wrong[0]!r} does not match")
      if set(arrays) != set(about["checksums"]):
        raise ValueError("it has arrays that its list of checksums lacks")
      if _text_checksum(about["about"]) != about["checksum"]:
        raise ValueError("checksum of the data beside the state does not match")
      return Snapshot(step, arrays, about["about"])
    except MemoryError:
      raise
    except Exception as error:
      self._leave_out(step, error)
      if not self._read_only:
        self._manager.reload()
      return None

  def _whole_steps(self) -> list[int]:
    if not exists(self._folder):
      return []
    return [step for step in self._manager.all_steps() if step not in self._left_out]

  def _leave_out(self, step: int, error: Exception) -> None:
    """Warns of a damaged checkpoint, and sets it aside unless the folder is read only."""
    reason = " ".join(str(error.__cause__ or error).split())[:200]
    complaint = f"checkpoint at step {step} in {self._folder} is damaged ({reason})"
    self._left_out.add(step)
    if self._read_only:
      self._warn(f"{complaint}: left out")
    else:
      aside = set_aside(self._folder, step, "damaged")
      self._left_out.discard(step)  # a new one may be saved in its place
      self._warn(f"{complaint}: set aside as {aside.name}")

  @property
  def _is_open(self) -> bool:
    return "_manager" in vars(self)

  def wait(self) -> None:
    """Returns once every save is on disk.

    Raises:
      DiskFullError: when a save found no space.
    """
    if self._is_open:
      with disk_full_is_a_user_error(self._folder), _quiet():
        self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for saves and stops the threads."""
    if self._is_open:
      with disk_full_is_a_user_error(self._folder), _quiet():
        self._manager.close()


@contextmanager
def _quiet() -> Iterator[None]:
  """Suppresses Orbax's logs, and what its abandoned tasks print of a failure."""
  hook, levels = sys.unraisablehook, {name: logging.getLogger(name).level for name in CHATTY}
  sys.unraisablehook = lambda unraisable: None
  for name in CHATTY:
    logging.getLogger(name).setLevel(logging.CRITICAL)
  try:
    yield
  except Exception:
    gc.collect()
    raise
  finally:
    sys.unraisablehook = hook
    for name, level in levels.items():
      logging.getLogger(name).setLevel(level)


@functools.cache
def silence_background_saves() -> None:
  """Silences what Orbax's threads print: each step of a save, and hundreds of lines of a failure.

  For a command line, once per process, before other hooks are set: it changes loggers and
  `sys.unraisablehook`. `Checkpoints` itself raises one error for a save that failed.
  """
  import absl.logging  # makes its logger anew when it is first imported  # noqa: F401

  for name in CHATTY:
    logging.getLogger(name).setLevel(logging.CRITICAL)
  hook = sys.unraisablehook

  def leave_out_closed_loops(unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
      hook(unraisable)

  sys.unraisablehook = leave_out_closed_loops


def _score(folder: Path, step: int) -> float | None:
  """Returns the score that a checkpoint was saved with, if any.

  Raises:
    ValueError: where the file is damaged.
  """
  try:
    held = json.loads((folder / str(step) / "metrics" / "metrics").read_bytes())
  except (FileNotFoundError, NotADirectoryError):
    return None
  except RecursionError as error:
    raise ValueError("its score is no score") from error
  match held:
    case {"score": int() | float() as score} if math.isfinite(score):
      return float(score)
  raise ValueError("its score is no score")


def set_aside(folder: Path, step: int, why: str) -> Path:
  """Renames a checkpoint, so that it is never read again; returns its new path."""
  number = 1
  while (aside := folder / f"{why}-{step}.{number}").exists():
    number += 1
  os.rename(folder / str(step), aside)
  return aside


def set_all_aside(folder: Path, why: str) -> None:
  """Sets aside every checkpoint in the folder, as `set_aside` does."""
  for step in steps(folder):
    set_aside(folder, step, why)


def _checksum(array: np.ndarray) -> int:
  form = f"{array.dtype} {array.shape}".encode()
  return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, zlib.crc32(form))


def _text_checksum(value: Any) -> int:
  return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _checksums(arrays: dict[str, np.ndarray]) -> dict[str, int]:
  return {name: _checksum(array) for name, array in arrays.items()}
