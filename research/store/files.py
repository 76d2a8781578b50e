"""Files that are whole or absent."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from research.errors import DiskFullError, UserError


def cache_folder() -> Path:
  """Returns the folder in which prepared data sets and compiled programs outlive a run.

  LINEAGE_CACHE, else `lineage` in the user's cache folder.

  Raises:
    UserError: where the user has no home folder.
  """
  user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  chosen = Path(os.environ.get("LINEAGE_CACHE") or Path(user_cache, "lineage"))
  try:
    return chosen.expanduser().absolute()
  except RuntimeError as error:
    raise UserError(
      f"there is no home folder for {chosen}; set LINEAGE_CACHE to a folder that can be written"
    ) from error


def as_path(text: str, whose: str) -> Path:
  """The path that a text names, which stands behind `whose` in an error.

  Raises:
    UserError: for the home of a user who does not exist, or a text that is no path.
  """
  if "\0" in text or not is_text(text):
    raise UserError(f"{whose}{text!a} is not a path")
  try:
    return Path(text).expanduser()
  except RuntimeError as error:
    raise UserError(f"{whose}{text}: there is no such home folder; write the path out") from error


def is_text(word: str) -> bool:
  """Tells whether a word of the command line is UTF-8."""
  try:
    word.encode()
  except UnicodeEncodeError:
    return False
  return True


def write_atomically(path: Path, content: str | bytes) -> None:
  """Writes to a temporary name beside the file and renames it: no reader sees a part of it."""
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    with open(temporary, "wb") as file:
      file.write(content.encode() if isinstance(content, str) else content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise


def write_json(path: Path, value: Any) -> None:
  """`write_atomically` of a value as indented JSON."""
  write_atomically(path, json_text(value))


def json_text(value: Any) -> str:
  """Returns the text that `write_json` writes."""
  return json.dumps(value, indent=2) + "\n"


def read_json(path: Path) -> Any:
  """Reads a JSON file; None where it is not there or damaged."""
  try:
    return json.loads(path.read_bytes())
  except (OSError, ValueError, RecursionError):
    return None


def sha256(path: Path) -> str | None:
  """Returns the checksum of a file's content; None where it cannot be read."""
  try:
    with open(path, "rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError:
    return None


@contextmanager
def disk_full_is_a_user_error(folder: Path) -> Iterator[None]:
  """Turns "no space left" into one line, wherever in the libraries below it comes up.

  Raises:
    DiskFullError: naming the folder; what was whole before still is.
    UserError: where a folder stands in the place of a file, or the other way round.
  """
  try:
    yield
  except (IsADirectoryError, NotADirectoryError) as error:
    raise UserError(
      f"{error.filename2 or error.filename}: {error.strerror}; move it out of the way"
    ) from error
  except Exception as error:
    if not _is_disk_full(error):
      raise
    raise DiskFullError(
      f"the disk is full: {folder} cannot be written; the last whole checkpoint is kept, "
      "so free some space and give the same command again"
    ) from error


def _is_disk_full(error: BaseException | None) -> bool:
  words = ("No space left on device", "RESOURCE_EXHAUSTED: Disk", "Disk quota exceeded")
  while error is not None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
      return True
    if any(word in str(error) for word in words):
      return True
    error = error.__cause__ or error.__context__
  return False
