"""The command line: lists, runs, resumes and verifies experiments.

python launch.py                                     the quick start, on embedded data
python launch.py list                                all experiments
python launch.py --experiment=NAME                   runs one; the same command again resumes it
python launch.py help --experiment=NAME              its own flags
python launch.py sweep --experiment=NAME --sweep='FIELD=log(1e-4,1e-1)' --trials=20
python launch.py evaluate --experiment=NAME          measures the best checkpoint
python launch.py verify --experiment=NAME|FAMILY|all measures the claims over seeds
python launch.py gradcheck --experiment=NAME         compares the gradient with differences

A verb may stand first; without one an experiment is run. Every verb but run and sweep is a flag too
(--list, --verify, ...). After `pip install .`, `lineage` stands for `python launch.py`.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from research import free_memory, numerals
from research.cli import streams
from research.data import sources
from research.errors import InterruptedRun, UserError, unknown_name
from research.lab import process, registry
from research.store import interruption

QUICK_START = "digits_convnet"
SAMPLERS = ("random", "grid", "halton", "sobol", "tpe", "gp", "cmaes")
STOPPERS = ("none", "asha", "halving", "hyperband", "median", "pbt")
SEARCH = (
  "sweep",
  "trials",
  "sampler",
  "stopper",
  "rounds",
  "objective",
  "seeds",
  "lanes",
  "direction",
)
VERBS = ("run", "sweep", "list", "help", "evaluate", "verify", "gradcheck")
HOW = ("parallel", "on_nan", "save_seconds", "dispatch", "lanes", "engine", "workers", "slurm")
RESULTS = process.HOME / "RESULTS.md"


def define_flags() -> flags.FlagValues:
  """The flags that every experiment has."""
  values = flags.FlagValues()
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  switch = lambda name, help: flags.DEFINE_bool(name, False, help, flag_values=values)
  text("experiment", QUICK_START, "which experiment; with --verify also a family, or all")
  text("workdir", None, "the run's folder; by default runs/<experiment>/<digest of the flags>")
  text("fork", None, "go on from the checkpoints of the run in this folder, with other settings")
  text("init_from", None, "begin with the weights of the run in this folder, and only those")
  text("data_dir", None, "folder with raw files of the data set, or prepared TFDS sets")

  def whole(name: str, default: int | None, help: str, least: int, most: int) -> None:
    parser = _Number(numerals.whole, least, most)
    flags.DEFINE(parser, name, default, help, values, flags.ArgumentSerializer())

  # JAX would use these bits of a larger seed, and say nothing.
  whole("seed", 0, "of all randomness", 0, 2**32 - 1)
  seeds = "from --seed on: with --verify (by default 3), or of each trial of a sweep (1)"
  whole("seeds", None, f"how many seeds, {seeds}", 1, numerals.LARGEST)
  flags.DEFINE_enum(
    "parallel", "jit", ("jit", "shard", "pmap"), "how devices share a step", flag_values=values
  )
  flags.DEFINE_enum(
    "on_nan", "stop", ("stop", "continue"), "when the loss is not finite", flag_values=values
  )
  seconds = _Number(numerals.real, 0, numerals.LARGEST)
  flags.DEFINE(seconds, "save_seconds", 30.0, "time between checkpoints", values)
  whole("dispatch", 0, "steps per compiled call; 0 leaves it to a rule", 0, numerals.LARGEST)
  text("sweep", None, "what to search: FIELD=log(1e-4,1e-1); FIELD=choice(a,b); ...")
  whole("trials", 20, "of a sweep: how many, in all", 1, numerals.LARGEST)
  flags.DEFINE_enum(
    "sampler", "random", SAMPLERS, "of a sweep: how trials are chosen", flag_values=values
  )
  flags.DEFINE_enum(
    "stopper", "none", STOPPERS, "of a sweep: how trials are stopped early", flag_values=values
  )
  whole("rounds", 1, "of a sweep: from coarse to fine", 1, numerals.LARGEST)
  text("objective", None, "of a sweep: the metric that ranks trials, such as validation/accuracy")
  flags.DEFINE_enum(
    "direction",
    None,
    ("max", "min"),
    "of a sweep: whether a larger or a smaller objective is better, where nothing says so",
    flag_values=values,
  )
  text("lanes", "auto", "how trials share a program: auto, vmap, map, or how many a block holds")
  flags.DEFINE_enum(
    "engine", "local", ("local", "ray", "slurm"), "where trials of sweeps train", flag_values=values
  )
  whole("workers", 4, "blocks of trials that train at once elsewhere", 1, numerals.LARGEST)
  text("slurm", "", "parameters of the jobs: slurm_partition=gpu,gpus_per_node=1,timeout_min=60")
  flags.register_validator(
    "lanes",
    lambda lanes: lanes in ("auto", "vmap", "map") or re.fullmatch(r"0*[1-9]\d{0,8}", lanes, re.A),
    "give auto, vmap, map, or a whole number of at least 1",
    flag_values=values,
  )
  switch("list", "list the experiments")
  switch("help", "show the flags of --experiment")
  switch("verify", "measure the claims of --experiment over --seeds, and renew RESULTS.md")
  switch("evaluate", "measure the best checkpoint of the run, finished or not")
  switch("gradcheck", "compare the gradient that is followed with differences of the loss")
  switch("fresh", "start the run over; the old one is kept aside")
  return values


class _Number(flags.ArgumentParser):
  """Reads a number between two bounds; absl shows its complaint with the flag's name."""

  def __init__(self, read: Callable[[str], float], least: int, most: int):
    self._read, self._least, self._most = read, least, most

  def parse(self, argument: Any) -> Any:
    value = self._read(argument) if isinstance(argument, str) else argument
    if not self._least <= value <= self._most:
      raise ValueError(f"give a number from {self._least} to {self._most}")
    return value

  def flag_type(self) -> str:
    return "number"


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
    if not _is_text(word):
      raise UserError(f"{word!a} is not UTF-8 text; give another name")
  argv = in_flags(argv)
  values = define_flags()
  parse(values, argv, known_only=True)
  refuse_contradictions(values)
  if values.list:
    print(registry.listing(list(registry.catalogue().values())))
    return 0
  entries = registry.select(values.experiment)
  if values.help and (len(entries) > 1 or not values["experiment"].present):
    print(f"{__doc__}\nFlags of every experiment:\n\n{_help(values)}")
    return 0
  if owns_process and not values.help:
    free_memory.refuse_small_limits()
    process.prepare_jax(collectives=values.parallel != "jit")
  is_verified = values.verify and not values.help
  if not is_verified and (len(entries) > 1 or entries[0].name != values.experiment):
    raise UserError(
      f"--experiment={values.experiment} names a family ({', '.join(e.name for e in entries)}); "
      "choose one of them, or add --verify"
    )
  with sources.own_files_in(_data_dir(values)):
    return verify(values, entries, argv) if is_verified else launch(values, entries[0], argv)


def in_flags(argv: list[str]) -> list[str]:
  """The command line with its verb, if one stands first, as a flag.

  Raises:
    UserError: for an unknown verb, or `sweep` without a space to search.
  """
  argv = ["--help" if word == "-h" else word for word in argv]
  if len(argv) < 2 or argv[1].startswith("-"):
    return argv
  verb, rest = argv[1], argv[2:]
  if verb not in VERBS:
    raise UserError(
      unknown_name(verb, VERBS, "verb") + " (flags are written --name=value, and after the verb)"
    )
  if verb == "sweep" and not any(word.lstrip("-").startswith("sweep") for word in rest):
    raise UserError("sweep needs a space to search, as in --sweep='FIELD=log(1e-4,1e-1)'")
  return [argv[0], *([] if verb in ("run", "sweep") else [f"--{verb}"]), *rest]


def launch(values: flags.FlagValues, entry: registry.Entry, argv: list[str]) -> int:
  """Runs one experiment, or shows its flags, or measures its best checkpoint."""
  from research.cli import flags as config_flags

  experiment = registry.load(entry)
  config_flags.define(experiment.Config(), values)
  parse(values, argv)
  refuse_idle(values, experiment)
  if values.help:
    print(f"{entry.docstring}\n\n{_help(values)}")
    return 0
  config = config_flags.read(experiment.Config(), values)
  options = _options(values)

  if values.gradcheck:
    from research.cli.gradcheck import check_gradient

    process.start_jax()
    return 0 if check_gradient(experiment, config, values.seed) else 1

  from research.cli import runner
  from research.lab import open_run, run_folder
  from research.reporting import sweep_report

  search = {name: values[name].value for name in SEARCH} if values.sweep is not None else {}
  if values.direction is None:  # a sweep of before this flag is the same sweep
    search.pop("direction", None)
  if search:
    sweep_report.prepare(experiment, config, search, values.seed)
  folder = _path(values, "workdir") if values.workdir else None
  init_from = _path(values, "init_from") if values.init_from else None
  if values.evaluate:
    process.start_jax()
    identity = runner.identify(entry, config, values.seed, search, init_from)
    run = open_run.open_run(folder or runner.default_folder(identity))
    if values["experiment"].present and run.identity.experiment != entry.name:
      raise UserError(
        f"--workdir={folder} is a run of {run.identity.experiment}, not of {entry.name}"
      )
    given = [name for name in identity.config if values[name.removeprefix("--")].present]
    run_folder.check_given(run.folder, identity, given + ["seed"] * values["seed"].present)
    for split, metrics in run.evaluate().items():
      print(split, "  ".join(f"{name} {value:.5g}" for name, value in metrics.items()))
    return 0
  runner.run(
    entry,
    config,
    seed=values.seed,
    folder=folder,
    options=options,
    fresh=values.fresh,
    fork=_path(values, "fork") if values.fork else None,
    init_from=init_from,
    search=search,
  )
  return 0


def verify(values: flags.FlagValues, entries: list[registry.Entry], argv: list[str]) -> int:
  """Measures the claims of several experiments; exit code 1 when one fails."""
  parse(values, argv, hint="; --verify measures experiments at their default settings")
  from research.cli.verify import verify as measure

  rows = measure(
    entries,
    seed=values.seed,
    seeds=values.seeds or 3,
    options=_options(values),
    results=RESULTS,
    fresh=values.fresh,
  )
  failed, undecided = (
    [row.id for row in rows if row.verdict == verdict] for verdict in ("fail", "undecided")
  )
  said = [f"failed: {', '.join(failed)}"] if failed else []
  said += [f"{len(undecided)} undecided: {', '.join(undecided)}"] if undecided else []
  print(f"{RESULTS.name}: {len(rows)} claims, {'; '.join(said) or 'all hold'}")
  return 1 if failed else 0


def refuse_contradictions(values: flags.FlagValues) -> None:
  """Some flags have no meaning beside others.

  Raises:
    UserError: naming the two.
  """
  for flag, others in (
    ("verify", ("workdir", "fork", "init_from", "evaluate", "gradcheck")),
    ("gradcheck", ("workdir", "fork", "init_from", "evaluate", "fresh")),
    ("evaluate", ("fresh", "fork")),
    ("sweep", ("verify", "gradcheck", "fork", "init_from")),
    ("fork", ("init_from",)),
  ):
    for other in others:
      if values[flag].value and values[other].value:
        raise UserError(f"--{other} has no meaning beside --{flag}; leave one of them out")
  of_sweeps = [name for name in SEARCH if name not in ("sweep", "lanes")]
  for name in of_sweeps:
    if values[name].present and values.sweep is None and not (name == "seeds" and values.verify):
      raise UserError(
        f"--{name} is of a sweep; add --sweep='FIELD=log(1e-4,1e-1)', or leave it out"
        + ("; --verify takes it too" if name == "seeds" else "")
      )
  for asked in ("evaluate", "gradcheck"):
    for name in HOW:
      if values[asked].value and values[name].present:
        raise UserError(f"--{name} has no meaning beside --{asked}; leave it out")
  for name, engines in (("workers", ("ray", "slurm")), ("slurm", ("slurm",))):
    if values[name].present and values.engine not in engines:
      raise UserError(f"--{name} needs --engine={' or '.join(engines)}; add it, or leave it out")


def refuse_idle(values: flags.FlagValues, experiment: Any) -> None:
  """Refuses flags that this experiment would ignore: a single fit has no trials to share out.

  Raises:
    UserError: naming the flag.
  """
  source = (
    "" if experiment.is_single_fit else inspect.getsource(sys.modules[experiment.run.__module__])
  )
  for name, calls in (("lanes", ".compare( .sweep("), ("engine", ".sweep(")):
    is_used = values.sweep is not None or any(call in source for call in calls.split())
    if values[name].present and not is_used:
      raise UserError(
        f"--{name} is of trials that train side by side, and {values.experiment} has none; add "
        "--sweep='FIELD=log(1e-4,1e-1)', or leave it out"
      )


def parse(
  values: flags.FlagValues, argv: list[str], *, known_only: bool = False, hint: str = ""
) -> None:
  """Parses the command line; a complaint is one line, and `hint` ends one about an unknown flag.

  Raises:
    UserError: for an unknown flag, with the nearest ones, and for a value that is not allowed.
  """
  try:
    rest = values(argv, known_only=known_only)
  except flags.UnrecognizedFlagError as error:
    raise UserError(
      unknown_name(f"--{error.flagname}", [f"--{name}" for name in values], "flag")
      + (hint or " (--help shows them all)")
    ) from error
  except flags.Error as error:
    complaint = " ".join(str(error).split())
    for words, plain in (
      (r"\('Non-boolean argument to boolean flag', (.*)\)", r"\1 is neither true nor false"),
      (r"ERROR:: Unable to open flagfile: \[Errno \d+\] (.*): '(.*)'", r"--flagfile=\2: \1"),
    ):
      complaint = re.sub(words, plain, complaint)
    raise UserError(complaint) from error
  except UnicodeDecodeError as error:
    raise UserError("--flagfile is not a UTF-8 text file; give one flag a line") from error
  except ValueError as error:  # absl's own reading of a switch that was given a value
    raise UserError(" ".join(str(error).split())) from error
  if rest[1:] and not known_only:
    raise UserError(f"unexpected argument {rest[1]!r}; flags are written --name=value")


def _options(values: flags.FlagValues) -> "Options":  # noqa: F821
  from research.training import Options

  return Options(
    values.parallel,
    values.on_nan == "stop",
    values.save_seconds,
    values.dispatch,
    values.lanes,
    values.engine,
    values.workers,
    values.slurm,
    _data_dir(values),
  )


def _data_dir(values: flags.FlagValues) -> str:
  """The absolute path of the user's own files, since workers elsewhere start in other folders."""
  if not values.data_dir:
    return ""
  folder = _path(values, "data_dir")
  if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
    raise UserError(f"--data_dir={values.data_dir} is not a folder that can be read")
  return str(folder.absolute())


def _path(values: flags.FlagValues, name: str) -> Path:
  """The path that a flag names; the shell leaves the ~ in --name=~/folder alone.

  Raises:
    UserError: for the home of a user who does not exist, or a text that is no path.
  """
  text = values[name].value
  if "\0" in text or not _is_text(text):
    raise UserError(f"--{name}={text!a} is not a path")
  try:
    return Path(text).expanduser()
  except RuntimeError as error:
    raise UserError(f"--{name}={text}: there is no such home folder; write the path out") from error


def _is_text(word: str) -> bool:
  try:
    word.encode()
  except UnicodeEncodeError:
    return False
  return True


def _help(values: flags.FlagValues) -> str:
  return values.get_help(include_special_flags=False)


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
