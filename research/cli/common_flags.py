"""The flags that every experiment has, and how they are read."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from research import numerals
from research.cli.grammar import VERBS, WITHOUT_FLAG
from research.errors import UserError, unknown_name
from research.lab.registry import Entry
from research.store.files import as_path
from research.sweep.names import SAMPLERS, STOPPERS

if TYPE_CHECKING:  # it imports JAX, which a listing does without
  from research.training import Conditions, Options

QUICK_START = "digits_convnet"


def define() -> flags.FlagValues:
  """The flags that every experiment has."""
  values = flags.FlagValues()
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  switch = lambda name, help: flags.DEFINE_bool(name, False, help, flag_values=values)
  text("experiment", QUICK_START, "which experiment; with --verify also a family, or all")
  text("workdir", None, "the run's folder; by default runs/<experiment>/<digest of the flags>")
  text("fork", None, "go on from the checkpoints of the run in this folder, with other settings")
  text("init_from", None, "begin with the weights of the run in this folder, and only those")
  define_at_step(values, "of --fork, --init_from or evaluate: the checkpoint of this step")
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
  share = _Number(numerals.real, 0, 1)
  held_out = "share of the training set to hold out for validation, where an experiment has none"
  flags.DEFINE(share, "validation", 0.0, held_out, values)
  text("metrics", "", "of whole evaluation sets of a classifier: f1, recall, auc, ece, or several")
  seconds = _Number(numerals.real, 0, numerals.LARGEST)
  flags.DEFINE(seconds, "save_seconds", 30.0, "time between checkpoints", values)
  whole("keep_every", 0, "steps whose multiples' checkpoints stay; 0 for none", 0, numerals.LARGEST)
  ends = "evaluations in a row without a new best, after which the fit ends; 0 for never"
  whole("patience", 0, ends, 0, numerals.LARGEST)
  flags.DEFINE_enum(
    "data_on",
    "auto",
    ("auto", "device", "host"),
    "where the data stay; from the host batches are streamed",
    flag_values=values,
  )
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
  for name, verb in VERBS.items():
    if name not in WITHOUT_FLAG and name != "list":
      switch(name, verb.help)
  flags.DEFINE(_Words(), "list", False, VERBS["list"].help, values, boolean=True)
  switch("fresh", "start the run over; the old one is kept aside")
  switch("single_fit", "train just the one fit that a sweep of the experiment repeats")
  return values


def define_at_step(values: flags.FlagValues, help: str) -> None:
  """Defines --at_step, which chooses a checkpoint."""
  parser = _Number(numerals.whole, 1, numerals.LARGEST)
  flags.DEFINE(parser, "at_step", None, help, values, flags.ArgumentSerializer())


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


class _Words(flags.ArgumentParser):
  """Reads a switch that may be given words: --list, --list=WORDS."""

  def parse(self, argument: Any) -> bool | str:
    switches = {"true": True, "false": False, "": True}
    return switches.get(argument, argument) if isinstance(argument, str) else bool(argument)

  def flag_type(self) -> str:
    return "words"


def parse(
  values: flags.FlagValues,
  argv: list[str],
  *,
  known_only: bool = False,
  hint: str = "",
  takes_words: bool = False,
) -> list[str]:
  """Parses the command line; a complaint is one line, and `hint` ends one about an unknown flag.

  Returns:
    The words that are no flags: none unless `known_only` or `takes_words` allows them.

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
  if rest[1:] and not (known_only or takes_words):
    raise UserError(f"unexpected argument {rest[1]!r}; flags are written --name=value")
  return rest[1:]


def options(values: flags.FlagValues, entry: Entry) -> "Options":
  """The execution options that the flags ask for, of an experiment."""
  from research.training import Options

  return Options(
    parallel=values.parallel,
    stop_on_nan=values.on_nan == "stop",
    save_seconds=values.save_seconds,
    keep_every=values.keep_every,
    data_on=values.data_on,
    dispatch=values.dispatch,
    lanes=values.lanes,
    engine=values.engine,
    workers=values.workers,
    slurm=values.slurm,
    data_dir=data_dir(values),
    file=str(entry.path) if entry.is_file else "",
  )


def conditions(values: flags.FlagValues) -> "Conditions":
  """The conditions of all fits that the flags ask for."""
  from research.lab import measured
  from research.training import Conditions

  return Conditions(
    validation=values.validation,
    metrics=measured.read_names(values.metrics),
    patience=values.patience,
    init_from=path(values, "init_from") if values.init_from else None,
    at_step=values.at_step,
  )


def data_dir(values: flags.FlagValues) -> str:
  """The absolute path of the user's own files, since workers elsewhere start in other folders."""
  if not values.data_dir:
    return ""
  folder = path(values, "data_dir")
  if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
    raise UserError(f"--data_dir={values.data_dir} is not a folder that can be read")
  return str(folder.absolute())


def path(values: flags.FlagValues, name: str) -> Path:
  """The path that a flag names; the shell leaves the ~ in --name=~/folder alone.

  Raises:
    UserError: for the home of a user who does not exist, or a text that is no path.
  """
  return as_path(values[name].value, f"--{name}=")
