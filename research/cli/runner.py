"""One experiment from its identity to its report."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from research import free_memory
from research.cli import preflight
from research.config import digest, flatten
from research.errors import OutOfMemoryError, UserError
from research.lab import (
  own_data,
  process,
  run_folder,
  run_fork,
  run_index,
  run_results,
  unread,
)
from research.lab.experiment import Experiment, alone
from research.lab.lab import Lab, warn
from research.lab.registry import Entry, load
from research.lab.run_results import read_claims
from research.lab.validation import validated
from research.report import PICTURES, Report
from research.reporting import html_report, picture_files, sweep_report
from research.reporting.claims_table import claims_table
from research.reporting.commands import run_command
from research.reporting.next_steps import next_steps
from research.store.claims_file import claims_from_json, claims_json
from research.store.files import (
  disk_full_is_a_user_error,
  json_text,
  read_json,
  write_atomically,
  write_json,
)
from research.store.interruption import Interruption
from research.store.metrics_log import identity_of, read_rows
from research.store.tensorboard import EventFiles
from research.training import PLAIN, Conditions, Options

NO_SEARCH: Mapping[str, Any] = MappingProxyType({})


def default_folder(identity: run_folder.Identity) -> Path:
  """`runs/<experiment>/<digest of config and seed>`: the same command is the same run.

  So is a sweep with more trials, where it can get them. Other data of the same name belong to the
  same folder, so that the change is noticed there.
  """
  config = dict(identity.config)
  config.pop(own_data.FLAG, None)
  if run_folder.may_grow(identity):
    del config["--trials"]
  return Path("runs") / identity.experiment / digest(identity.seed, config)


def identify(
  entry: Entry,
  config: Any,
  seed: int,
  conditions: Conditions = PLAIN,
  *,
  single_fit: bool = False,
  search: Mapping[str, Any] = NO_SEARCH,
) -> run_folder.Identity:
  """The identity of a run: its config, all flags that change what is learnt, and its data's digest.

  The digest is of data that may change under their name. What is off has no entry, so that runs
  from before a flag keep their identity.
  """
  given = conditions._asdict() | {"single_fit": single_fit, "metrics": ",".join(conditions.metrics)}
  if conditions.init_from is None:
    given["at_step"] = None  # of a fork, whose result does not depend on it alone
  else:
    given["init_from"] = os.path.abspath(conditions.init_from)
  flags = {f"--{name}": value for name, value in search.items()}
  flags |= {f"--{name}": value for name, value in given.items() if value}
  fields = flatten(config)
  return run_folder.Identity(entry.name, seed, fields | flags | own_data.identity(fields))


def run(
  entry: Entry,
  config: Any,
  *,
  seed: int,
  folder: Path | None = None,
  options: Options,
  fresh: bool = False,
  fork: Path | None = None,
  conditions: Conditions = PLAIN,
  single_fit: bool = False,
  search: Mapping[str, Any] = NO_SEARCH,
  command: str | None = None,
  say: Callable[[str], None] = print,
) -> Path:
  """Runs, resumes, or finds an experiment finished; returns its folder.

  With a `search`, the flags of a sweep by name, the experiment is swept. With a `single_fit`, the
  experiment is only the fit that a sweep of it would repeat. The `command` that the report gives is
  by default made from what the run is.

  Raises:
    UserError and its kin, before anything is compiled, fetched or written where the input is bad.
    InterruptedRun: after a signal, once everything is saved.
  """
  experiment = alone(load(entry)) if single_fit else load(entry)
  at_step = conditions.at_step
  identity = identify(entry, config, seed, conditions, single_fit=single_fit, search=search)
  folder = folder or default_folder(identity)
  aside = _put_aside(folder, fork, at_step, say) if fresh else None
  is_to_fork = fork is not None and run_fork.needs_fork(fork, folder, at_step)
  _refuse_leak(identity, fork, conditions.init_from)
  _refuse_other_run(folder, identity, entry)
  lost = run_results.lost(folder)
  if run_results.is_finished(folder) and not run_folder.grows(folder, identity):
    changed = ", by another version of the code" if is_stale(folder, entry) else ""
    without = f", but without {', '.join(lost)}, which are lost or changed" if lost else ""
    say(f"{folder} is finished already{changed}{without}; --fresh starts it over")
    _conclude(folder, say)
    return folder
  if again := [name for name in lost if name.startswith(run_results.DRAWN)]:
    say(f"{folder}: {', '.join(again)} lost or changed; made again")
  process.start_jax()
  made = run_folder.first_missing(folder)
  with disk_full_is_a_user_error(folder):
    lock = run_folder.Lock(folder)
  interruption = Interruption()
  try:
    run_folder.check(folder, identity)  # again: another process may have been quicker
    is_new = not run_folder.holds_run(folder)
    with disk_full_is_a_user_error(folder):
      if fork is not None and is_to_fork:
        run_fork.fork(fork, folder, identity, at_step)
      _write_identity(folder, identity, say)
      surroundings = _surroundings(entry, experiment, identity, options)
      surroundings["command"] = command or run_command(
        experiment, config, seed, conditions, single_fit=single_fit, search=search
      )
      write_json(folder / "environment.json", surroundings)
      say(f"{entry.name}: {folder}")
      lab = Lab(
        folder, seed=seed, options=options, interruption=interruption, conditions=conditions
      )
      with _taken_back_if_refused(folder, lab, is_new, made, aside):
        _refuse_idle_validation(experiment, config, lab)
        if is_new and entry.is_file:
          preflight.try_report(experiment, config, seed)
        if search:
          report = sweep_report.conduct(experiment, config, lab, search, say)
        else:
          report = conduct(experiment, config, lab)
      _write_report(folder, entry, identity, surroundings, report)
    _conclude(folder, say)
  finally:
    interruption.release()
    lock.release()
  return folder


def _write_identity(
  folder: Path, identity: run_folder.Identity, say: Callable[[str], None]
) -> None:
  """Writes what a run is of, its data's digest included; a sweep may get more trials by it."""
  run_folder.write_identity(folder, identity)
  own_data.write(folder, identity)
  if run_folder.grows(folder, identity):
    run_folder.grow(folder, identity)
    say(f"{folder}: the sweep goes on to {identity.config['--trials']} trials")


def _surroundings(
  entry: Entry, experiment: Experiment, identity: run_folder.Identity, options: Options
) -> dict[str, Any]:
  """The machine, the code and the options of a run, and its settings that are no defaults."""
  default = flatten(experiment.Config())
  own = {name: value for name, value in identity.config.items() if not name.startswith("--")}
  different = [name for name in default | own if own.get(name) != default.get(name)]
  about = {"options": options._asdict(), "changed": different}
  return process.describe(entry.path) | about


def _put_aside(
  folder: Path, fork: Path | None, at_step: int | None, say: Callable[[str], None]
) -> Path | None:
  run_folder.check_fresh(folder)
  if fork is not None:
    run_fork.check_source(fork, at_step)
    if fork.resolve() == folder.resolve():
      raise UserError(f"--fresh would put --fork={fork} itself aside; give another --workdir")
  aside = run_folder.set_aside(folder)
  if aside:
    say(f"the old run is kept in {aside}")
  return aside


def _refuse_leak(identity: run_folder.Identity, fork: Path | None, init_from: Path | None) -> None:
  """Refuses a fork of a run that has learnt from what is held out here."""
  share = identity.config.get("--validation")
  if share and init_from:
    warn(f"--init_from={init_from} may have learnt from the examples that --validation holds out")
  if not (share and fork):
    return
  source = run_folder.read_identity(fork, "--fork")
  if (source.seed, source.config.get("--validation")) != (identity.seed, share):
    raise UserError(
      f"--fork={fork} has learnt from examples that --validation holds out here; fork a run of the "
      "same --validation and --seed, or leave --validation out"
    )


def _refuse_other_run(folder: Path, identity: run_folder.Identity, entry: Entry) -> None:
  """Refuses a folder of other settings, other data, or another file; changed data are named."""
  own_data.check(folder, identity)
  run_folder.check(folder, identity)
  run_folder.check_file(folder, entry.path if entry.is_file else None)


def _refuse_idle_validation(experiment: Experiment, config: Any, lab: Lab) -> None:
  """Refuses to hold out a share where no single fit can."""
  share = lab.conditions.validation
  if share and experiment.training is None:
    raise UserError(
      f"--validation={share:g} is of experiments with a single fit, and {experiment.name} has "
      "none; leave it out"
    )
  if share and experiment.training:
    validated(experiment.training, share)(config, lab.seed)


@contextmanager
def _taken_back_if_refused(
  folder: Path, lab: Lab, is_new: bool, made: Path | None, aside: Path | None
) -> Iterator[None]:
  """Removes what a run wrote if it is refused before anything was learnt."""
  try:
    with free_memory.out_of_memory_is_a_user_error():
      yield
  except UserError as error:
    has_learnt = lab.has_trained
    if isinstance(error, OutOfMemoryError):  # perhaps of the first step
      has_learnt = any(path.name.isdigit() for path in folder.glob("checkpoints/*/*"))
    if is_new and not has_learnt:
      run_folder.take_back(folder, made)
      if aside and not folder.exists():
        aside.rename(folder)
    raise


def conduct(experiment: Experiment, config: Any, lab: Lab) -> Report:
  """The experiment itself: its own `run`, or one fit and its report.

  Says first which of the settings that were changed nothing reads.
  """
  if experiment.is_single_fit:
    ignored = unread.of_training(experiment, config, lab.seed)
  else:
    ignored = unread.of_source(experiment, config)
  if ignored:
    names = ", ".join(f"--{name}" for name in ignored)
    warn(f"{names}: nothing in {experiment.name} depends on it with these settings")
  return experiment.run(config, lab)


def _write_report(
  folder: Path,
  entry: Entry,
  identity: run_folder.Identity,
  surroundings: dict[str, Any],
  report: Report,
) -> None:
  pictures = picture_files.write(folder / "figures", report.pictures)
  images = {path.stem: path.read_bytes() for path, _ in pictures}
  EventFiles(folder).show_pictures(images)
  captions = {picture.name: picture.caption for picture in report.pictures}
  write_json(folder / "figures" / "captions.json", captions)
  claims = claims_json(report.claims)
  rows = {identity_of(row): row for row in read_rows(folder)}
  record = run_index.record(folder)
  html_report.write_report(
    folder / "report.html",
    title=entry.name + (": a sweep" if "--sweep" in identity.config else ""),
    docstring=entry.docstring,
    again=surroundings["command"],
    config={"seed": identity.seed, **identity.config},
    environment=surroundings,
    claims=claims,
    pictures=pictures,
    rows=list(rows.values()),
    notes=report.notes,
    tables=report.tables,
    commands=report.commands,
    tries=() if "--sweep" in identity.config else next_steps(load(entry)),
    file=entry.path,
    began=record.began,
    seconds=record.seconds,
  )
  text = json_text(claims)
  run_results.write_checksums(folder, text)
  write_atomically(folder / "claims.json", text)  # last: it says that the run is finished


def is_stale(folder: Path, entry: Entry) -> bool:
  """Tells whether the run in a folder was made by another version of the code."""
  made_by = read_json(folder / "environment.json")
  return not isinstance(made_by, dict) or made_by.get("code") != process.code_digest(entry.path)


def _conclude(folder: Path, say: Callable[[str], None]) -> None:
  claims = claims_from_json(read_claims(folder))
  if claims:
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # no-color.org
    say("\n" + claims_table(claims, colours=colours))
  files = (folder / "figures").glob("*")
  figures = sorted(str(path) for path in files if path.suffix in PICTURES)
  if figures:
    say("figures: " + " ".join(figures))
  say(f"report:  {folder / 'report.html'}")
  sys.stdout.flush()
