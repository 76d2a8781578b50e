"""The results of a run: whether they are complete and unchanged since the run finished."""

import hashlib
import json
from pathlib import Path
from typing import Any

from research.store.claims_file import claims_from_json
from research.store.files import read_json, sha256, write_json

CHECKSUMS = "checksums.json"
DRAWN = ("figures/", "report.html", "claims.json")  # from what was learnt, without training again


def is_finished(folder: Path) -> bool:
  """Tells whether the claims, which are written last, and all that is drawn are there, unchanged.

  Checkpoints may be lost all the same; `lost` names them.
  """
  if not _are_claims(read_json(folder / "claims.json")):
    return False
  complete = (folder / "report.html").exists() and (folder / "figures").is_dir()
  return complete and not any(name.startswith(DRAWN) for name in lost(folder))


def _are_claims(value: Any) -> bool:
  try:
    numbers = [claim["ours"] for claim in value]
    texts = [claim[name] for claim in value for name in ("id", "what", "source", "verdict")]
    claims_from_json(value)
  except (KeyError, TypeError, ValueError, ArithmeticError):
    return False
  return (
    isinstance(value, list)
    and all(isinstance(number, int | float | None) for number in numbers)
    and all(isinstance(text, str) for text in texts)
  )


def write_checksums(folder: Path, claims: str) -> None:
  """Writes the checksums of a finished run; `claims` is the text that claims.json will have."""
  files = [folder / "report.html", folder / "metrics.jsonl"]
  files += [*folder.glob("figures/*"), *folder.glob("*.parquet")]
  content = {
    path.relative_to(folder).as_posix(): sha256(path)
    for path in sorted(files)
    if path.is_file() and not path.name.startswith(".")  # as what a killed process leaves
  }
  content["claims.json"] = hashlib.sha256(claims.encode()).hexdigest()
  checkpoints = [path for path in folder.glob("checkpoints/*/*") if path.name.isdigit()]
  fits = {path.parent.relative_to(folder).as_posix(): "a checkpoint" for path in checkpoints}
  write_json(folder / CHECKSUMS, content | dict(sorted(fits.items())))


def lost(folder: Path) -> list[str]:
  """Lists files of a finished run that are missing or changed; runs without checksums pass."""
  found = read_json(folder / CHECKSUMS)
  if not isinstance(found, dict):
    return [CHECKSUMS] if (folder / CHECKSUMS).exists() else []
  has_checkpoint = lambda fit: any(path.name.isdigit() for path in (folder / fit).glob("*"))
  return [
    name
    for name, checksum in found.items()
    if not (
      has_checkpoint(name) if name.startswith("checkpoints/") else sha256(folder / name) == checksum
    )
  ]


def read_claims(folder: Path) -> list[dict[str, Any]]:
  """Returns the claims in claims.json."""
  return json.loads((folder / "claims.json").read_text())
