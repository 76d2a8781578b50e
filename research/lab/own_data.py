"""The data of a run that may change under their name: they are part of the run's identity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.config import digest
from research.data import own, sets
from research.errors import UserError
from research.lab.run_folder import Identity
from research.store.files import read_json, write_json

FLAG = "--data"  # in a run's identity: the digest of its files
FILE = "data.json"  # in a run's folder: the SHA-256 of each
# Fields of configs that name a file of the user's own, or none.
NAMED_FILES = ("text", "pairs", "weights")
NAMED = 3  # changed files that are named in one line


def identity(fields: Mapping[str, Any]) -> dict[str, str]:
  """Returns what a run's identity holds beside its settings: nothing for the published sets.

  Args:
    fields: the config's, by name; those of data are "dataset" and `NAMED_FILES`.

  Raises:
    UserError: where the data are not there.
  """
  files = _files(fields)
  return {FLAG: digest(files)} if files else {}


def check(folder: Path, identity: Identity) -> None:
  """Checks, without writing anything, that the run in a folder has learned from the same files.

  Raises:
    UserError: naming those that have changed, when all else is the same.
  """
  before, now = read_json(folder / FILE), _files(identity.config)
  held = read_json(folder / "config.json")
  if not isinstance(before, dict) or not isinstance(held, dict) or before == now:
    return
  names = [name for name in ("dataset", *NAMED_FILES) if name in identity.config]
  if any(held.get("config", {}).get(name) != identity.config[name] for name in names):
    return
  changed = [
    f"{file} is {what}"
    for what, files in (
      ("other than it was", [file for file in now if now[file] != before.get(file, now[file])]),
      ("gone", [file for file in before if file not in now]),
      ("new", [file for file in now if file not in before]),
    )
    for file in files
  ]
  sources = " and ".join(str(identity.config[name]) for name in names if identity.config[name])
  more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
  raise UserError(
    f"--workdir={folder} has learned from other data under {sources}: "
    f"{', '.join(changed[:NAMED])}{more}; put them back to resume it, or give --fresh to start "
    "over (the old run is kept aside) or another --workdir"
  )


def write(folder: Path, identity: Identity) -> None:
  """Writes the digests of the files that a run learns from, if they may change."""
  files = _files(identity.config)
  if files:
    write_json(folder / FILE, files)


def _files(fields: Mapping[str, Any]) -> dict[str, str]:
  """The SHA-256 of the files that a config's fields name, where they may change."""
  dataset = fields.get("dataset", "")
  found = sets.digests(dataset) if isinstance(dataset, str) else {}
  for name in NAMED_FILES:
    path = fields.get(name, "")
    file = Path(path).expanduser() if isinstance(path, str) and path else None
    if file and file.is_file():  # who reads it refuses what is no file
      found |= own.digests_of(file, [file])
  return found
