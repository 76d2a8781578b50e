"""The one door: lists, runs, resumes and verifies experiments.

python launch.py                                     the quick start, on embedded data
python launch.py --list                              all experiments
python launch.py --experiment=NAME                   runs one; the same command again resumes it
python launch.py --experiment=NAME --help            its own flags
python launch.py --experiment=NAME --sweep='FIELD=log(1e-4,1e-1)' --trials=20
python launch.py --verify --experiment=NAME|FAMILY|all
"""

import math
import os
import re
import signal
import sys
from pathlib import Path

from absl import flags

from research.errors import InterruptedRun, UserError, unknown_name
from research.lab import catalogue, environment

QUICK_START = "digits_convnet"
SAMPLERS = ("random", "grid", "halton", "sobol", "tpe", "gp", "cmaes")
STOPPERS = ("none", "asha", "halving", "hyperband", "median", "pbt")
SEARCH = ("sweep", "trials", "sampler", "stopper", "rounds", "objective", "seeds", "lanes")
RESULTS = Path(__file__).parent / "RESULTS.md"


def define_flags() -> flags.FlagValues:
  """The flags that every experiment has."""
  values = flags.FlagValues()
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  switch = lambda name, help: flags.DEFINE_bool(name, False, help, flag_values=values)
  text("experiment", QUICK_START, "which experiment; with --verify also a family, or all")
  text("workdir", None, "the run's folder; by default runs/<experiment>/<digest of the flags>")
  text("fork", None, "go on from the checkpoints of the run in this folder, with other settings")
  text("data_dir", None, "folder with raw files of the data set, or prepared TFDS sets")
  flags.DEFINE_integer(
    "seed",
    0,
    "of all randomness",
    lower_bound=0,
    upper_bound=2**32 - 1,  # JAX would use these bits of a larger one, and say nothing
    flag_values=values,
  )
  flags.DEFINE_integer(
    "seeds",
    None,
    "how many seeds, from --seed on: with --verify (by default 3), or of each trial of a sweep (1)",
    lower_bound=1,
    flag_values=values,
  )
  flags.DEFINE_enum(
    "parallel", "jit", ("jit", "shard", "pmap"), "how devices share a step", flag_values=values
  )
  flags.DEFINE_enum(
    "on_nan", "stop", ("stop", "continue"), "when the loss is not finite", flag_values=values
  )
  flags.DEFINE_float(
    "save_seconds", 30.0, "time between checkpoints", lower_bound=0, flag_values=values
  )
  flags.register_validator(
    "save_seconds", math.isfinite, "give a finite number of at least 0", flag_values=values
  )
  flags.DEFINE_integer(
    "dispatch", 0, "steps per dispatch; 0 leaves it to a rule", lower_bound=0, flag_values=values
  )
  text("sweep", None, "what to search: FIELD=log(1e-4,1e-1); FIELD=choice(a,b); ...")
  flags.DEFINE_integer(
    "trials", 20, "of a sweep: how many, in all", lower_bound=1, flag_values=values
  )
  flags.DEFINE_enum(
    "sampler", "random", SAMPLERS, "of a sweep: how trials are chosen", flag_values=values
  )
  flags.DEFINE_enum(
    "stopper", "none", STOPPERS, "of a sweep: how trials are stopped early", flag_values=values
  )
  flags.DEFINE_integer(
    "rounds", 1, "of a sweep: from coarse to fine", lower_bound=1, flag_values=values
  )
  text("objective", None, "of a sweep: the metric that ranks trials, such as validation/accuracy")
  text("lanes", "auto", "how trials share a program: auto, vmap, map, or how many a block holds")
  flags.DEFINE_enum(
    "engine", "local", ("local", "ray", "slurm"), "where trials of sweeps train", flag_values=values
  )
  flags.DEFINE_integer(
    "workers", 4, "blocks of trials that train at once elsewhere", lower_bound=1, flag_values=values
  )
  text("slurm", "", "parameters of the jobs: slurm_partition=gpu,gpus_per_node=1,timeout_min=60")
  flags.register_validator(
    "lanes",
    lambda lanes: lanes in ("auto", "vmap", "map") or (lanes.isdigit() and int(lanes) > 0),
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


def main(argv: list[str]) -> int:
  """Does what the command line says; returns the exit code."""
  try:
    return dispatch(argv)
  except InterruptedRun as stop:
    print(stop, file=sys.stderr)
    return stop.exit_code
  except UserError as error:
    print(f"launch.py: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code
  except KeyboardInterrupt:  # a run catches it itself, and saves
    print("\nlaunch.py: interrupted before anything was run", file=sys.stderr)
    return 128 + signal.SIGINT


def dispatch(argv: list[str]) -> int:
  """Reads the flags and calls what they ask for.

  Raises:
    UserError: for bad input, before anything is compiled, fetched or written.
  """
  values = define_flags()
  parse(values, argv, known_only=True)
  refuse_contradictions(values)
  if values.list:
    print(catalogue.listing(list(catalogue.catalogue().values())))
    return 0
  entries = catalogue.select(values.experiment)
  if values.help and (len(entries) > 1 or not values["experiment"].present):
    print(f"{__doc__}\nFlags of every experiment:\n\n{_help(values)}")
    return 0
  if values.verify and not values.help:
    return verify(values, entries, argv)
  if len(entries) > 1 or entries[0].name != values.experiment:
    raise UserError(
      f"--experiment={values.experiment} names a family ({', '.join(e.name for e in entries)}); "
      "choose one of them, or add --verify"
    )
  return launch(values, entries[0], argv)


def launch(values: flags.FlagValues, entry: catalogue.Entry, argv: list[str]) -> int:
  """Runs one experiment, or shows its flags, or measures its best checkpoint."""
  from research.lab import flags as config_flags

  module = catalogue.load(entry)
  config_flags.define(module.Config(), values)
  parse(values, argv)
  if values.help:
    print(f"{entry.docstring}\n\n{_help(values)}")
    return 0
  config = config_flags.read(module.Config(), values)
  options = _options(values)

  if values.gradcheck:
    from research.lab.checking import check_gradient

    return 0 if check_gradient(module, config, values.seed) else 1

  from research.lab import reading, running, sweeping

  search = {name: values[name].value for name in SEARCH} if values.sweep is not None else {}
  if search:
    sweeping.prepare(module, config, search, values.seed)
  folder = _path(values.workdir) if values.workdir else None
  if values.evaluate:
    identity = running.identify(entry, config, values.seed, search)
    run = reading.open_run(folder or running.default_folder(identity))
    if values["experiment"].present and run.identity.experiment != entry.name:
      raise UserError(
        f"--workdir={folder} is a run of {run.identity.experiment}, not of {entry.name}"
      )
    for split, metrics in run.evaluate().items():
      print(split, "  ".join(f"{name} {value:.5g}" for name, value in metrics.items()))
    return 0
  running.run(
    entry,
    config,
    seed=values.seed,
    folder=folder,
    options=options,
    fresh=values.fresh,
    fork=_path(values.fork) if values.fork else None,
    search=search,
  )
  return 0


def verify(values: flags.FlagValues, entries: list[catalogue.Entry], argv: list[str]) -> int:
  """Measures the claims of several experiments; exit code 1 when one does not hold."""
  parse(values, argv, hint="; --verify measures experiments at their default settings")
  from research.lab.verify import verify as measure

  rows = measure(
    entries,
    seed=values.seed,
    seeds=values.seeds or 3,
    options=_options(values),
    results=RESULTS,
    fresh=values.fresh,
  )
  failed = [row.id for row in rows if row.verdict == "fail"]
  print(
    f"{RESULTS.name}: {len(rows)} claims, "
    + (f"failed: {', '.join(failed)}" if failed else "all hold")
  )
  return 1 if failed else 0


def refuse_contradictions(values: flags.FlagValues) -> None:
  """Some flags have no meaning beside others.

  Raises:
    UserError: naming the two.
  """
  for flag, others in (
    ("verify", ("workdir", "fork", "evaluate", "gradcheck")),
    ("gradcheck", ("workdir", "fork", "evaluate", "fresh")),
    ("evaluate", ("fresh", "fork")),
    ("sweep", ("verify", "gradcheck", "fork")),
  ):
    for other in others:
      if values[flag].value and values[other].value:
        raise UserError(f"--{other} has no meaning beside --{flag}; leave one of them out")
  for name in SEARCH[1:-2]:
    if values[name].present and values.sweep is None:
      raise UserError(
        f"--{name} is of a sweep; add --sweep='FIELD=log(1e-4,1e-1)', or leave it out"
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
      (r"invalid literal for int\(\) with base 10: (.*)", r"\1 is not a whole number"),
      (r"could not convert string to float: (.*)", r"\1 is not a number"),
      (r"\('Non-boolean argument to boolean flag', (.*)\)", r"\1 is neither true nor false"),
      (r"ERROR:: Unable to open flagfile: \[Errno \d+\] (.*): '(.*)'", r"--flagfile=\2: \1"),
    ):
      complaint = re.sub(words, plain, complaint)
    raise UserError(complaint) from error
  if rest[1:] and not known_only:
    raise UserError(f"unexpected argument {rest[1]!r}; flags are written --name=value")


def _options(values: flags.FlagValues) -> "Options":  # noqa: F821
  from research.lab.fit import Options

  if values.data_dir:
    folder = _path(values.data_dir)
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
      raise UserError(f"--data_dir={values.data_dir} is not a folder that can be read")
    os.environ["LINEAGE_DATA_DIR"] = str(folder)
  return Options(
    values.parallel,
    values.on_nan == "stop",
    values.save_seconds,
    values.dispatch,
    values.lanes,
    values.engine,
    values.workers,
    values.slurm,
  )


def _path(text: str) -> Path:
  return Path(text).expanduser()  # the shell leaves the ~ in --name=~/folder alone


def _help(values: flags.FlagValues) -> str:
  return values.get_help(include_special_flags=False)


if __name__ == "__main__":
  if not any(word.lstrip("-").startswith(("list", "help")) for word in sys.argv[1:]):
    environment.prepare_jax(collectives=any("parallel" in word for word in sys.argv[1:]))
  sys.exit(main(sys.argv))
