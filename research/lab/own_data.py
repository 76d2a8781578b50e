"""The data of a run that may change under their name: they are part of the run's identity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.config import digest
from research.data import sets
from research.errors import UserError
from research.lab.run_folder import Identity
from research.store.files import read_json, write_json

FLAG = "--data"  # in a run's identity: the digest of its files
FILE = "data.json"  # in a run's folder: the SHA-256 of each
NAMED = 3  # changed files that are named in one line


def identity(fields: Mapping[str, Any]) -> dict[str, str]:
  """Returns what a run's identity holds beside its settings: nothing for the published sets.

  Args:
    fields: the config's, by name; that of data is called "dataset".

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
  if held.get("config", {}).get("dataset") != identity.config.get("dataset"):
    return
  changed = [
    f"{name} is {what}"
    for what, names in (
      ("other than it was", [name for name in now if name in before and before[name] != now[name]]),
      ("gone", [name for name in before if name not in now]),
      ("new", [name for name in now if name not in before]),
    )
    for name in names
  ]
  more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
  raise UserError(
    f"--workdir={folder} has learned from other data under {identity.config['dataset']}: "
    f"{', '.join(changed[:NAMED])}{more}; put them back to resume it, or give --fresh to start "
    "over (the old run is kept aside) or another --workdir"
  )


def write(folder: Path, identity: Identity) -> None:
  """Writes the digests of the files that a run learns from, if they may change."""
  files = _files(identity.config)
  if files:
    write_json(folder / FILE, files)


def _files(fields: Mapping[str, Any]) -> dict[str, str]:
  dataset = fields.get("dataset", "")
  return sets.digests(dataset) if isinstance(dataset, str) else {}
