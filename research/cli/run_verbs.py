"""The verbs that have flags of their own: of runs that are there already, of data and new files.

The list of runs needs no JAX.
"""

import fnmatch
import json
import shutil
import sys
import time
from pathlib import Path

from absl import flags

from research.cli import common_flags, convert, diagnose, export, grammar, live, new_file, predict
from research.errors import UserError, unknown_name
from research.lab import old_checkpoints, process, run_folder, run_index
from research.lab.run_index import Record
from research.reporting import runs_table
from research.store.files import as_path

WITH_WORDS = (
  "compare",
  "diagnose",
  "new",
  "predict",
)  # behind the verb stand folders, files or a name
WITH_JAX = ("predict", "diagnose", "export")
IN_MODULES = {  # the verbs whose flags are defined beside them
  "predict": predict,
  "diagnose": diagnose,
  "export": export,
  "convert": convert,
  "live": live,
}


def call(verb: str, argv: list[str], *, owns_process: bool) -> int:
  """Does what one of `grammar.WITH_OWN_FLAGS` asks for; returns the exit code.

  Args:
    verb: one of them.
    argv: the program's name and what stands behind the verb.
    owns_process: whether the process may be set up for JAX, where the verb needs it.

  Raises:
    UserError: for bad input.
  """
  values = flags.FlagValues()
  does = {
    "runs": runs,
    "compare": compare,
    "live": live.live,
    "clean": clean,
    "new": new_file.new,
    "predict": predict.predict,
    "diagnose": diagnose.diagnose,
    "export": export.export,
    "convert": convert.convert,
  }[verb]
  flags.DEFINE_bool("help", False, "shows this", flag_values=values)
  _define(verb, values)
  words = common_flags.parse(values, argv, takes_words=verb in WITH_WORDS)
  if values.help:
    print(grammar.help_text(values, verb))
    return 0
  if verb in WITH_JAX and owns_process:
    process.prepare_jax(collectives=False)
  return does(values, words)


def _define(verb: str, values: flags.FlagValues) -> None:
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  switch = lambda name, help: flags.DEFINE_bool(name, False, help, flag_values=values)
  if verb in ("runs", "clean"):
    text("folder", "runs", "the folder under which runs are looked for")
    text("experiment", None, "only runs of this experiment, or of this pattern, as in 'dqn_*'")
    text("where", "", "only runs of which this holds: 'epochs=5; test/accuracy>=0.98'")
  if verb == "runs":
    text("state", None, f"only runs that are {', '.join(run_index.STATES)}")
    text(
      "sort", "when", "by when, took, experiment, state, best, folder, or a name; -NAME reverses"
    )
    text("metric", None, "what best speaks of, as in test/loss; by default what says most")
    switch("json", "one JSON value a line, for programs")
  if verb == "clean":
    days = "how many days ago, at the least, a run must have finished"
    flags.DEFINE_float("older", 30.0, days, lower_bound=0.0, flag_values=values)
    kept = "whether the best checkpoint of every fit stays"
    flags.DEFINE_enum("keep", "none", ("none", "best"), kept, flag_values=values)
    switch("yes", "free without asking")
  if verb in IN_MODULES:
    IN_MODULES[verb].define(values)
  if verb == "compare":
    text("page", "comparison.html", "the file that is written")


def chosen(values: flags.FlagValues) -> list[Record]:
  """The runs under --folder that --experiment and --where choose.

  Raises:
    UserError: for a folder that is none, or a condition that cannot be read.
  """
  folder = common_flags.path(values, "folder")
  records = [run_index.record(path) for path in run_index.find(folder)]
  if pattern := values.experiment:
    known = sorted({record.experiment for record in records})
    records = [each for each in records if fnmatch.fnmatchcase(each.experiment, pattern)]
    if not records and known:
      raise UserError(f"--experiment: {unknown_name(pattern, known, 'experiment')}")
  return runs_table.where(records, values.where)


def runs(values: flags.FlagValues, words: list[str]) -> int:
  """Lists the runs under a folder."""
  del words
  if values.state not in (None, *run_index.STATES):
    raise UserError(f"--state: {unknown_name(values.state, run_index.STATES, 'state')}")
  records = [each for each in chosen(values) if values.state in (None, each.state)]
  if values.metric and records:
    names = {name for record in records for name in record.metrics}
    if values.metric not in names:
      raise UserError(f"--metric: {unknown_name(values.metric, sorted(names), 'metric')}")
  records = runs_table.ordered(records, values.sort, values.metric)
  if values.json:
    for record in records:
      print(json.dumps(runs_table.as_json(record, values.metric)))
    return 0
  if not records:
    print(f"no such run under {Path(values.folder)}")
    return 0
  width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
  print(runs_table.as_text(records, values.metric, width))
  return 0


def compare(values: flags.FlagValues, words: list[str]) -> int:
  """Writes a page that shows the runs in the folders `words` side by side."""
  from research.reporting import comparison  # matplotlib takes long

  folders = [as_path(word, "compare ") for word in words]
  for folder in folders:
    run_folder.read_identity(folder, "compare: folder")
  page = common_flags.path(values, "page")
  if page.is_dir():
    raise UserError(f"--page={page} is a folder; give a file, as in {page / 'comparison.html'}")
  comparison.write_comparison(page, [run_index.record(folder) for folder in folders])
  print(page)
  return 0


def clean(values: flags.FlagValues, words: list[str]) -> int:
  """Frees checkpoints of finished runs, after it has shown which, and asked."""
  del words
  records = chosen(values)
  before = time.time() - values.older * 86_400
  found = old_checkpoints.removable(records, before, keep_best=values.keep == "best")
  if not found:
    print(f"nothing to free: no run under {values.folder} that finished so long ago has any")
    return 0
  width = max(len(_bytes(each.size)) for each in found)
  for each in found:
    print(f"{_bytes(each.size):>{width}}  {each.folder}")
  total = _bytes(sum(each.size for each in found))
  stays = "claims, metrics, figures and reports stay"
  print(f"{total} in {len(found)} runs: their checkpoints can be freed; {stays}")
  if not values.yes and not _agreed():
    print("nothing is freed; --yes frees without asking")
    return 0
  freed = 0
  for each in found:
    try:
      old_checkpoints.free(each)
      freed += each.size
    except UserError as error:
      print(f"left alone: {error}", file=sys.stderr)
    except OSError as error:
      print(f"left alone: {each.folder}: {error.strerror}", file=sys.stderr)
  print(f"{_bytes(freed)} freed")
  return 0


def _agreed() -> bool:
  try:
    return input("free them? [y/N] ").strip().lower() in ("y", "yes")
  except EOFError:
    print()
    return False


def _bytes(count: float) -> str:
  """A number of bytes in the unit that suits it."""
  for unit in ("B", "kB", "MB"):
    if count < 1000:
      return f"{count:.0f} {unit}"
    count /= 1000
  return f"{count:.1f} GB"
