"""The command line: lists, runs, resumes and verifies experiments."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from research import free_memory
from research.cli import common_flags, grammar, refusals, streams
from research.cli.common_flags import parse, path
from research.data import sources
from research.errors import InterruptedRun, UserError
from research.lab import process, registry
from research.store import interruption
from research.store.files import is_text

if TYPE_CHECKING:  # it imports JAX, which a listing does without
  from research.lab.run_folder import Identity

RESULTS = process.HOME / "RESULTS.md"


def main(argv: list[str], *, owns_process: bool = False) -> int:
  """Does what the command line says; returns the exit code.

  Args:
    argv: the program's name and the flags.
    owns_process: whether the process may be set up for JAX, and replaced by itself once for that.
  """
  try:
    with free_memory.out_of_memory_is_a_user_error():
      return dispatch(argv, owns_process)
  except InterruptedRun as stop:
    print(stop, file=sys.stderr)
    return stop.exit_code
  except UserError as error:
    print(f"launch.py: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code


def dispatch(argv: list[str], owns_process: bool) -> int:
  """Reads the flags and calls what they ask for.

  Raises:
    UserError: for bad input, before anything is compiled, fetched or written.
  """
  for word in argv[1:]:
    if not is_text(word):
      raise UserError(f"{word!a} is not UTF-8 text; give another name")
  verb, argv = grammar.verb_of(argv), grammar.in_flags(argv)
  if verb == "plan":
    from research.cli import plan_verb

    return plan_verb.call(argv, owns_process=owns_process)
  if verb in grammar.WITH_OWN_FLAGS:
    from research.cli import run_verbs

    return run_verbs.call(verb, argv, owns_process=owns_process)
  values = common_flags.define()
  if verb == "study":
    from research.cli import study

    study.define(values)
  parse(values, argv, known_only=True)
  refusals.refuse_contradictions(values)
  if values.list:
    print(registry.listing(listed(values.list)))
    return 0
  entries = registry.select(values.experiment)
  if values.help and (len(entries) > 1 or not values["experiment"].present):
    print(grammar.help_text(values, verb))
    return 0
  if owns_process and not values.help:
    free_memory.refuse_small_limits()
    process.prepare_jax(collectives=values.parallel != "jit")
  is_verified = values.verify and not values.help
  if not is_verified and (len(entries) > 1 or values.experiment in (entries[0].family, "all")):
    raise UserError(
      f"--experiment={values.experiment} names a family ({', '.join(e.name for e in entries)}); "
      "choose one of them, or add --verify"
    )
  with sources.own_files_in(common_flags.data_dir(values)):
    return verify(values, entries, argv) if is_verified else launch(values, entries[0], argv, verb)


def listed(words: str | bool) -> list[registry.Entry]:
  """All experiments, or those that are about some words, the clearest first.

  Raises:
    UserError: where none is.
  """
  known = registry.installed() | registry.catalogue()
  if not isinstance(words, str):
    return list(known.values())
  found = registry.search(words, known)
  if not found:
    raise UserError(f"no experiment is about {words!r}; --list shows them all")
  return found


def launch(values: flags.FlagValues, entry: registry.Entry, argv: list[str], verb: str) -> int:
  """Runs one experiment, or shows its flags, or measures its best checkpoint."""
  from research.cli import config_flags, preflight

  experiment = registry.load(entry)
  if entry.is_file:
    preflight.check_settings(experiment)
  config_flags.define(experiment.Config(), values, entry.path)
  parse(values, argv)
  refusals.refuse_idle(values, experiment)
  if values.help:
    print(grammar.help_text(values, verb, entry.docstring))
    return 0
  config = config_flags.read(experiment.Config(), values)
  options = common_flags.options(values, entry)

  if values.gradcheck:
    from research.cli.gradcheck import check_gradient

    process.start_jax()
    return 0 if check_gradient(experiment, config, values.seed) else 1

  from research.cli import runner
  from research.reporting import sweep_report

  search = {name: values[name].value for name in grammar.SEARCH} if values.sweep is not None else {}
  if values.direction is None:  # a sweep of before this flag is the same sweep
    search.pop("direction", None)
  if search:
    sweep_report.prepare(experiment, config, search, values.seed)
  folder = path(values, "workdir") if values.workdir else None
  conditions = common_flags.conditions(values)
  which: dict[str, Any] = {"conditions": conditions, "single_fit": values.single_fit}
  command = shlex.join(["python", *argv])
  if verb == "study":
    from research.cli.study import study

    study(entry, experiment, config, values, options, folder, command)
  elif values.evaluate:
    identity = runner.identify(entry, config, values.seed, **which, search=search)
    evaluate(values, entry, identity, folder or runner.default_folder(identity))
  else:
    runner.run(
      entry,
      config,
      seed=values.seed,
      folder=folder,
      options=options,
      fresh=values.fresh,
      fork=path(values, "fork") if values.fork else None,
      **which,
      search=search,
      command=command,
    )
  return 0


def evaluate(
  values: flags.FlagValues, entry: registry.Entry, asked: "Identity", folder: Path
) -> None:
  """Measures a checkpoint of a run on its evaluation sets.

  Raises:
    UserError: where the run is not the one that is asked for, as far as flags were given.
  """
  from research.lab import open_run, own_data, run_folder

  process.start_jax()
  is_named = values["experiment"].present
  run = open_run.Run(folder, entry if is_named else None, values.at_step)
  if is_named and run.identity.experiment != entry.name:
    raise UserError(
      f"--workdir={folder} is a run of {run.identity.experiment}, not of {entry.name}"
    )
  own_data.check(run.folder, run.identity)
  flags_of = {name: name.removeprefix("--") for name in asked.config if name != own_data.FLAG}
  given = [name for name, flag in flags_of.items() if values[flag].present]
  run_folder.check_given(run.folder, asked, given + ["seed"] * values["seed"].present)
  for split, metrics in run.evaluate().items():
    print(split, "  ".join(f"{name} {value:.5g}" for name, value in metrics.items()))


def verify(values: flags.FlagValues, entries: list[registry.Entry], argv: list[str]) -> int:
  """Measures the claims of several experiments; exit code 1 when one fails."""
  parse(values, argv, hint="; --verify measures experiments at their default settings")
  from research.cli.verify import verify as measure

  is_ours = entries[0].module.startswith("experiments.")
  results = RESULTS if is_ours else Path(RESULTS.name)  # a package's: here
  if entries[0].is_file and entries[0].path:
    results = entries[0].path.with_name(RESULTS.name)
  rows = measure(
    entries,
    seed=values.seed,
    seeds=values.seeds or 3,
    options=common_flags.options(values, entries[0]),
    results=results,
    fresh=values.fresh,
  )
  failed, undecided = (
    [row.id for row in rows if row.verdict == verdict] for verdict in ("fail", "undecided")
  )
  said = [f"failed: {', '.join(failed)}"] if failed else []
  said += [f"{len(undecided)} undecided: {', '.join(undecided)}"] if undecided else []
  print(f"{results.name}: {len(rows)} claims, {'; '.join(said) or 'all hold'}")
  return 1 if failed else 0


def command() -> int:
  """Does what this process's command line says: `python launch.py`, or the installed `lineage`."""
  interruption.leave_at_once()
  streams.make_safe()
  code = main(sys.argv, owns_process=True)
  if failure := streams.failure():
    print(f"launch.py: stdout cannot be written: {failure}", file=sys.stderr)
  if code > 128:  # threads that still work, on a download for instance, are not waited for
    os._exit(code)
  return code
