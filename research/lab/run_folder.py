"""The folder of one run: the run that it belongs to, and the process that may write in it."""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from research.config import show
from research.errors import UserError
from research.lab.run_results import CHECKSUMS
from research.store import checkpoint
from research.store.files import read_json, write_json
from research.sweep import plan as planning

LOCK = ".lock"
ENVIRONMENT = "environment.json"
LOOKS = 5  # at a folder's lock, which a reader may hold for an instant
FORK = "fork.json"
UNFINISHED_FORK = ".fork"
FORKED = ("checkpoints", "metrics.jsonl", FORK)


class Identity(NamedTuple):
  """The settings that tell runs apart; the same identity in the same folder resumes."""

  experiment: str
  seed: int
  config: dict[str, Any]

  def as_json(self) -> dict[str, Any]:
    """Returns the form that it has in config.json."""
    return json.loads(json.dumps(self._asdict()))


def read_identity(folder: Path, flag: str = "--workdir") -> Identity:
  """Reads the identity of the run in a folder, which the user named by `flag`.

  Raises:
    UserError: when there is no run in the folder or its config.json cannot be read.
  """
  try:
    identity = Identity(**json.loads((folder / "config.json").read_text()))
    if [type(value) for value in identity] != [str, int, dict] or not 0 <= identity.seed < 2**32:
      raise TypeError("not a run's config")
    return identity
  except (FileNotFoundError, NotADirectoryError) as error:
    raise UserError(f"{flag}={folder} holds no run (no config.json is there)") from error
  except OSError as error:
    raise UserError(f"{flag}={folder}: config.json cannot be read: {error.strerror}") from error
  except (ValueError, TypeError, RecursionError) as error:
    raise UserError(
      f"{flag}={folder}: config.json is damaged; put it back, give another folder, or start over "
      "with --fresh (the old run is kept aside)"
    ) from error


def file_of(folder: Path) -> Path | None:
  """The file of a run's experiment, where that is neither of the catalogue nor of a package."""
  made_by = read_json(folder / ENVIRONMENT)
  options = made_by.get("options") if isinstance(made_by, dict) else None
  file = options.get("file") if isinstance(options, dict) else None
  return Path(file) if isinstance(file, str) and file else None


def check_file(folder: Path, file: Path | None) -> None:
  """Checks that the run in a folder is not of another file of the same name.

  Raises:
    UserError: naming both, where the other one is still there.
  """
  before = file_of(folder) if holds_run(folder) else None
  if before != file and (before is None or before.is_file()) and (folder / ENVIRONMENT).exists():
    there, here = before or "the catalogue", file or "the catalogue"
    raise UserError(
      f"--workdir={folder} is a run of {there}, and not of {here}; give another --workdir"
    )


def check(folder: Path, identity: Identity) -> None:
  """Checks, without writing anything, that the run may use the folder.

  Raises:
    UserError: for a file in the way, a folder of something else, or a run with another config.
  """
  if not holds_run(folder):
    return
  found = read_identity(folder).as_json()
  wanted = identity.as_json()
  if found != wanted and not grows(folder, identity):
    raise UserError(
      f"--workdir={folder} belongs to another run ({_difference(found, wanted)}); give the same "
      f"flags to resume it, another --workdir, --fresh to start over (the old run is kept aside), "
      f"or a new --workdir with --fork={folder} to go on from its checkpoint"
    )


def grows(folder: Path, identity: Identity) -> bool:
  """Tells whether the folder holds this sweep with fewer trials, and it can have more."""
  if not holds_run(folder) or not may_grow(identity):
    return False
  found, wanted = read_identity(folder).as_json(), identity.as_json()
  before = found["config"].get("--trials")
  found["config"]["--trials"] = wanted["config"]["--trials"]
  return found == wanted and isinstance(before, int) and before < wanted["config"]["--trials"]


def may_grow(identity: Identity) -> bool:
  """Tells whether this is a sweep that can get more trials."""
  flags = [identity.config.get(name) for name in ("--sampler", "--stopper", "--rounds")]
  return None not in flags and planning.may_grow(*flags)  # type: ignore[arg-type]


def grow(folder: Path, identity: Identity) -> None:
  """Turns the folder into that of a sweep with more trials, which has no winner yet."""
  for name in ("claims.json", CHECKSUMS):
    (folder / name).unlink(missing_ok=True)
  checkpoint.set_all_aside(folder / "checkpoints" / "train", "behind")
  write_json(folder / "config.json", identity.as_json())  # last: until then the old one stands


def check_given(folder: Path, identity: Identity, given: Iterable[str]) -> None:
  """Checks that the settings that were named on the command line are those of the run.

  Raises:
    UserError: naming those that are not.
  """
  found, wanted = read_identity(folder).as_json(), identity.as_json()
  before = {"seed": found["seed"], **found["config"]}
  now = {"seed": wanted["seed"], **wanted["config"]}
  difference = _differences(before, {name: now[name] for name in given})
  if difference:
    raise UserError(f"--workdir={folder} is a run of other settings ({difference}); leave them out")


def _contents(folder: Path) -> set[str]:
  """Lists the names in a folder; none where there is no folder.

  Raises:
    UserError: when there is something else under that name, or it cannot be read.
  """
  try:
    return {path.name for path in folder.iterdir()}
  except FileNotFoundError:
    return set()
  except NotADirectoryError as error:
    raise UserError(
      f"--workdir={folder} is a file or lies under one; give a folder or a name that is free"
    ) from error
  except OSError as error:
    raise UserError(
      f"--workdir={folder} cannot be read: {error.strerror}; give another folder"
    ) from error


def holds_run(folder: Path) -> bool:
  """Tells whether there is a run in the folder; if not, there is room for one.

  Raises:
    UserError: when the folder holds something else.
  """
  contents = _contents(folder)
  if "config.json" in contents:
    return True
  # What a process leaves that was killed before it wrote its config.
  remains = {name for name in contents if name == LOCK or name.startswith(".config.json.")}
  if UNFINISHED_FORK in contents:
    remains |= {UNFINISHED_FORK, *FORKED}
    remains |= {name for name in contents if name.startswith(f".{FORK}.")}
  if contents - remains:
    raise UserError(
      f"--workdir={folder} holds other files and no run; give an empty or a new folder"
    )
  return False


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
  if found["experiment"] != wanted["experiment"]:
    return f"experiment {found['experiment']}, not {wanted['experiment']}"
  before = {"seed": found["seed"], **found["config"]}
  now = {"seed": wanted["seed"], **wanted["config"]}
  return _differences(before, {name: now.get(name) for name in dict.fromkeys([*before, *now])})


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
  return ", ".join(
    f"{name}: there {show(before.get(name))}, here {show(value)}"
    for name, value in now.items()
    if before.get(name) != value
  )


class Lock:
  """The lock of the process that owns the folder; the system drops it when the process dies."""

  def __init__(self, folder: Path):
    """Creates the folder if need be and takes its lock.

    Raises:
      UserError: when the folder cannot be written or another process owns it.
    """
    try:
      folder.mkdir(parents=True, exist_ok=True)
      self._file = open(folder / LOCK, "a+")
    except OSError as error:
      raise UserError(
        f"--workdir={folder} cannot be written: {error.strerror}; give another folder"
      ) from error
    try:
      _lock(self._file)
      self._file.truncate(0)
      self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
      self._file.flush()
    except BlockingIOError as error:
      self._file.seek(0)
      owner = self._file.read().strip() or "another process"
      self._file.close()
      raise UserError(
        f"--workdir={folder} is in use by {owner}; wait for it, or give another --workdir"
      ) from error
    except OSError as error:
      with contextlib.suppress(OSError):  # what could not be written is tried once more
        self._file.close()
      raise UserError(
        f"--workdir={folder} cannot be locked: {error.strerror}; give another folder"
      ) from error

  def release(self) -> None:
    """Releases the folder to other processes."""
    self._file.close()


def _lock(file: IO[str]) -> None:
  """Locks a file, for which a reader that just looks (`is_locked`) is no hindrance.

  Raises:
    BlockingIOError: where another process owns it.
    OSError: where files cannot be locked.
  """
  for look in range(LOOKS):
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      return
    except BlockingIOError:
      if look == LOOKS - 1:
        raise
      time.sleep(0.02)


def is_locked(folder: Path) -> bool:
  """Tells whether a process owns the folder; writes nothing."""
  try:
    with open(folder / LOCK) as file:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError:  # no lock is there, or none that could be read
    return False
  return False


def first_missing(folder: Path) -> Path | None:
  """Returns the topmost folder that has to be made for this one; None where it exists."""
  missing = [path for path in (folder, *folder.parents) if not path.exists()]
  return missing[-1] if missing else None


def take_back(folder: Path, made: Path | None) -> None:
  """Removes what a refused run wrote, and those folders that it made for it.

  Args:
    folder: of the run.
    made: the topmost folder that was made, as `first_missing` found it.
  """
  for path in folder.iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()
  if made is None:
    return
  for path in (folder, *folder.parents):
    try:
      path.rmdir()
    except OSError:  # another run lives there by now
      return
    if path == made:
      return


def check_fresh(folder: Path) -> None:
  """Checks, without writing anything, that the folder may be put aside.

  Raises:
    UserError: when it is not a run, which is none of ours to move, or this shell is inside.
  """
  holds_run(folder)
  here = Path.cwd()
  if folder.resolve() in (here, *here.parents):
    raise UserError(
      f"--fresh cannot put --workdir={folder} aside while you are in it; go elsewhere first"
    )


def set_aside(folder: Path) -> Path | None:
  """Renames the folder of a run to the first free `<name>.old-N`; for `--fresh`.

  Raises:
    UserError: when another process owns the folder, or it cannot be renamed.
  """
  if not holds_run(folder):
    return None
  lock = Lock(folder)  # a run that is still going must not lose its folder
  number = 1
  while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
    number += 1
  try:
    os.rename(folder, aside)
  except OSError as error:
    raise UserError(
      f"--fresh cannot rename --workdir={folder}: {error.strerror}; give another folder"
    ) from error
  finally:
    lock.release()
  return aside


def write_identity(folder: Path, identity: Identity) -> None:
  """Writes config.json, which marks the folder as this run's."""
  if not (folder / "config.json").exists():
    write_json(folder / "config.json", identity.as_json())
