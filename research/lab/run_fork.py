"""Forks: runs that go on from the checkpoints of another run."""

import os
import shutil
from pathlib import Path

from research.errors import UserError
from research.lab import run_folder
from research.lab.resume import no_such_step
from research.lab.run_folder import FORK, UNFINISHED_FORK, Identity, holds_run, read_identity
from research.store import checkpoint
from research.store.files import read_json, write_json


def needs_fork(source: Path, folder: Path, step: int | None = None) -> bool:
  """Tells whether the checkpoints are still to be copied; writes nothing.

  Not when the folder holds a run that was forked from there, at that step: the same command again
  resumes it.

  Raises:
    UserError: when the source holds no checkpoints or the new folder is in use.
  """
  inside, outside = folder.resolve(), source.resolve()
  if outside in inside.parents or inside in outside.parents:
    raise UserError(
      f"--workdir={folder} and --fork={source} lie in one another; give another --workdir"
    )
  if holds_run(folder):
    if _forked_from(folder) == (os.path.abspath(source), step):
      return False
    raise UserError(
      f"--fork={source} needs a --workdir that is free, and {folder} holds a run already"
    )
  check_source(source, step)
  return True


def check_source(source: Path, step: int | None = None) -> None:
  """Checks that there is something to fork.

  Raises:
    UserError: when the source holds no run or no checkpoints, or none of the step.
  """
  read_identity(source, "--fork")
  if not any(path.name.isdigit() for path in source.glob("checkpoints/*/*")):
    raise UserError(
      f"--fork={source} has no checkpoint (none yet, or freed by `clean`); let that run go on for "
      "a while first, or run it again with --fresh"
    )
  fits = sorted(path for path in (source / "checkpoints").iterdir() if path.is_dir())
  if step is not None and not any(step in checkpoint.steps(fit) for fit in fits):
    raise no_such_step(fits[0], step)


def _forked_from(folder: Path) -> tuple[str | None, int | None]:
  origin = read_json(folder / FORK)
  return (origin.get("source"), origin.get("at_step")) if isinstance(origin, dict) else (None, None)


def fork(source: Path, folder: Path, identity: Identity, step: int | None = None) -> None:
  """Makes the folder a run that goes on from another one's checkpoints.

  With a step, each fit that has a checkpoint of it loses the later ones. Killed in between, it
  leaves a folder that is marked as unfinished and holds no run.

  Raises:
    UserError: when the source changes meanwhile.
  """
  mark = folder / UNFINISHED_FORK
  mark.touch()
  shutil.rmtree(folder / "checkpoints", ignore_errors=True)
  unfinished = shutil.ignore_patterns("*.orbax-checkpoint-tmp*", "damaged-*", "behind-*")

  def left_out(parent: str, names: list[str]) -> set[str]:
    is_later = step is not None and str(step) in names
    later = {name for name in names if is_later and name.isdigit() and int(name) > (step or 0)}
    return unfinished(parent, names) | later

  try:
    shutil.copytree(source / "checkpoints", folder / "checkpoints", ignore=left_out)
  except shutil.Error as error:
    raise UserError(
      f"--fork={source} could not be copied, perhaps since it is running; interrupt that run, or "
      "give the same command again"
    ) from error
  if (source / "metrics.jsonl").exists():
    shutil.copy(source / "metrics.jsonl", folder / "metrics.jsonl")
  origin = {"source": os.path.abspath(source), **read_identity(source, "--fork").as_json()}
  write_json(folder / FORK, origin | ({} if step is None else {"at_step": step}))
  run_folder.write_identity(folder, identity)
  mark.unlink()
