"""Claims measured over seeds, collected into RESULTS.md."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from research.cli import runner
from research.config import replace
from research.errors import UserError
from research.lab.registry import Entry, load
from research.lab.run_results import is_finished, read_claims
from research.reporting import docs_gallery, results_table
from research.training import Options


def verify(
  entries: list[Entry],
  *,
  seed: int,
  seeds: int,
  options: Options,
  results: Path,
  fresh: bool = False,
  say: Callable[[str], None] = print,
) -> list[results_table.Verified]:
  """Runs each experiment at its defaults with `seeds` seeds from `seed` on, and renews its rows.

  So does it at the other settings that the experiment names (`Experiment.verified`). The figures of
  the first seed go to `docs/gallery` beside the results.

  The runs live in their own folders, so an interrupted verification resumes like any run. A run
  that another version of the code finished is made again.

  Raises:
    UserError: where the results file cannot be read, before anything is run; or where a finished
      run makes other claims than its experiment makes now.
  """
  results_table.read(results)
  verified = []
  for entry in entries:
    experiment, rows, first = load(entry), [], []
    for settings in experiment.verified:
      config = replace(experiment.Config(), settings)
      folders = [
        _measure(entry, config, number, options, fresh, say) for number in range(seed, seed + seeds)
      ]
      rows += _rows(entry, folders)
      first.append(folders[0])
    results_table.merge(results, rows)
    docs_gallery.renew(results.parent / "docs" / "gallery", entry, first)
    verified += rows
  return verified


def _rows(entry: Entry, folders: list[Path]) -> list[results_table.Verified]:
  """The rows of one run per seed."""
  named = Path(entry.flag).name
  try:
    return results_table.over_seeds(
      [read_claims(folder) for folder in folders],
      experiment=entry.name,
      command=f"python launch.py --verify --experiment={named} --seeds={len(folders)}",
      date=datetime.date.today().isoformat(),
    )
  except ValueError as error:
    raise UserError(
      f"{error}; a claim's words must not depend on the seed, and runs that another version "
      "of the code made are measured anew with --verify --fresh"
    ) from error


def _measure(
  entry: Entry,
  config: Any,
  seed: int,
  options: Options,
  fresh: bool,
  say: Callable[[str], None],
) -> Path:
  folder = runner.default_folder(runner.identify(entry, config, seed))
  fresh = fresh or (is_finished(folder) and runner.is_stale(folder, entry))
  return runner.run(entry, config, seed=seed, options=options, fresh=fresh, say=say)
