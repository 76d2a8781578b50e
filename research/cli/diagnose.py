"""The verb `diagnose`: what to work on next, from a run's errors."""

from absl import flags

from research.cli import common_flags
from research.data.sources import own_files_in
from research.errors import UserError
from research.lab import run_folder
from research.store.files import as_path


def define(values: flags.FlagValues) -> None:
  """Defines the verb's flags."""
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  text("workdir", None, "the folder of the run, as the word behind the verb")
  text("human_error", None, "share that people get wrong, or the least that is possible: 0.02")
  text("tags", None, "a filled-in errors.csv, or a column of the table that was learned from")
  curve = "trains on an eighth, a quarter and a half of the data too: learning curves"
  flags.DEFINE_bool("learning_curve", False, curve, flag_values=values)
  text("data_dir", None, "folder with raw files of its data set")
  common_flags.define_at_step(values, "the checkpoint of this step, instead of the best one")


def diagnose(values: flags.FlagValues, words: list[str]) -> int:
  """Writes diagnosis.html into a run's folder, and prints what to work on; returns the exit code.

  Raises:
    UserError: as `research.lab.open_run.Run.diagnose`.
  """
  if len(words) + bool(values.workdir) != 1:
    raise UserError("diagnose needs the folder of one run: diagnose runs/NAME/DIGEST")
  folder = as_path(words[0], "diagnose ") if words else common_flags.path(values, "workdir")
  run_folder.read_identity(folder, "diagnose: folder")
  from research.lab import open_run, process

  human = _share(values.human_error)
  run = open_run.open_run(folder, at_step=values.at_step)
  process.start_jax()
  with own_files_in(common_flags.data_dir(values)):
    found = run.diagnose(human, values.tags, learning_curve=values.learning_curve)
  from research.reporting import diagnosis_page  # matplotlib takes long

  for gap in found.diagnosis.gaps:
    low, high = (f"{100 * end:+.2f}" for end in gap.interval)
    mark = "  <- largest" if gap is found.diagnosis.first else ""
    print(f"{gap.after:9}  {gap.name}: {100 * gap.rise:+.2f} points ({low} to {high}){mark}")
  print(f"first: {found.diagnosis.cause}; to try: {'; '.join(found.diagnosis.to_try)}")
  try:
    print(diagnosis_page.write(run.folder, found))
  except OSError as error:
    raise UserError(
      f"{error.filename or run.folder} cannot be written: {error.strerror}"
    ) from error
  return 0


def _share(text: str | None) -> float | None:
  """A number of the command line.

  Raises:
    UserError: for another text.
  """
  try:
    return None if text is None else float(text)
  except ValueError as error:
    raise UserError(f"--human_error={text} is no number; give a share such as 0.02") from error
