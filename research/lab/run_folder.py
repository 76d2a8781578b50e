"""The folder of one run: who it belongs to, and who may write in it."""

import fcntl
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any, NamedTuple

from research.config import show
from research.errors import UserError
from research.lab.files import write_json


class Identity(NamedTuple):
  """What makes a run this run: the same identity in the same folder resumes."""

  experiment: str
  seed: int
  config: dict[str, Any]

  def as_json(self) -> dict[str, Any]:
    """The form it has in config.json."""
    return json.loads(json.dumps(self._asdict()))


def read_identity(folder: Path) -> Identity:
  """The identity of the run in a folder.

  Raises:
    UserError: when there is no run in the folder or its config.json cannot be read.
  """
  try:
    return Identity(**json.loads((folder / "config.json").read_text()))
  except (OSError, ValueError, TypeError) as error:
    raise UserError(f"--workdir={folder} holds no run: config.json: {error}") from error


def is_finished(folder: Path) -> bool:
  """A run is finished once its claims stand; they are written last."""
  return (folder / "claims.json").exists()


def check(folder: Path, identity: Identity) -> None:
  """Looks, without writing anything, whether the run may live in the folder.

  Raises:
    UserError: for a file in the way, a folder of something else, or a run with another config.
  """
  try:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
      return
    if not folder.is_dir():
      raise UserError(f"--workdir={folder} is a file; give a folder or a name that is free")
  except OSError as error:
    raise UserError(f"--workdir={folder} cannot be read: {error.strerror}") from error
  if not (folder / "config.json").exists():
    if all(path.name.startswith(".") for path in folder.iterdir()):
      return  # a run that was killed before it wrote its config
    raise UserError(
      f"--workdir={folder} holds other files and no run; give an empty or a new folder"
    )
  found = read_identity(folder).as_json()
  wanted = identity.as_json()
  if found != wanted:
    raise UserError(
      f"--workdir={folder} belongs to another run ({_difference(found, wanted)}); give the same "
      f"flags to resume it, another --workdir, --fresh to start over (the old run is kept aside), "
      f"or a new --workdir with --fork={folder} to go on from its checkpoint"
    )


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
  if found["experiment"] != wanted["experiment"]:
    return f"experiment {found['experiment']}, not {wanted['experiment']}"
  before = {"seed": found["seed"], **found["config"]}
  now = {"seed": wanted["seed"], **wanted["config"]}
  return ", ".join(
    f"{name}: there {show(before.get(name))}, here {show(now.get(name))}"
    for name in dict.fromkeys([*before, *now])
    if before.get(name) != now.get(name)
  )


class Lock:
  """Held by the process that owns the folder; the system drops it when the process dies."""

  def __init__(self, folder: Path):
    """Creates the folder if need be and takes its lock.

    Raises:
      UserError: when the folder cannot be written or another process owns it.
    """
    try:
      folder.mkdir(parents=True, exist_ok=True)
      self._file = open(folder / ".lock", "a+")
    except OSError as error:
      raise UserError(
        f"--workdir={folder} cannot be written: {error.strerror}; give another folder"
      ) from error
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      self._file.seek(0)
      owner = self._file.read().strip() or "another process"
      raise UserError(
        f"--workdir={folder} is in use by {owner}; wait for it, or give another --workdir"
      ) from error
    self._file.truncate(0)
    self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
    self._file.flush()

  def release(self) -> None:
    """Lets others have the folder."""
    self._file.close()


def set_aside(folder: Path) -> Path | None:
  """Renames a folder that exists to the first free `<name>.old-N`; for `--fresh`."""
  if not folder.exists():
    return None
  number = 1
  while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
    number += 1
  os.rename(folder, aside)
  return aside


def check_fork(source: Path, folder: Path) -> None:
  """Looks, without writing anything, whether a new run may go on from another one's checkpoints.

  Raises:
    UserError: when the source holds no checkpoints or the new folder is in use.
  """
  read_identity(source)
  if not (source / "checkpoints").is_dir():
    raise UserError(f"--fork={source} has no checkpoint yet")
  if folder.exists() and any(path.name != ".lock" for path in folder.iterdir()):
    raise UserError(f"--fork needs a new --workdir, and {folder} holds a run already")


def fork(source: Path, folder: Path) -> None:
  """Copies what a run needs to go on from another one's checkpoints."""
  shutil.copytree(source / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
  if (source / "metrics.jsonl").exists():
    shutil.copy(source / "metrics.jsonl", folder / "metrics.jsonl")


def write_identity(folder: Path, identity: Identity) -> None:
  """Marks the folder as this run's."""
  if not (folder / "config.json").exists():
    write_json(folder / "config.json", identity.as_json())
