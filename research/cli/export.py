"""The verb `export`: a run's network as files that need nothing of this project."""

from absl import flags

from research.cli import common_flags
from research.data.sources import own_files_in
from research.errors import UserError


def define(values: flags.FlagValues) -> None:
  """Defines the verb's flags."""
  text = lambda name, default, help: flags.DEFINE_string(name, default, help, flag_values=values)
  text("workdir", None, "the folder of the run")
  text("to", None, "the new folder; by default export-FORMAT in the run's")
  text("data_dir", None, "folder with raw files of its data set")
  common_flags.define_at_step(values, "the checkpoint of this step, instead of the best one")
  flags.DEFINE_enum(
    "format",
    "stablehlo",
    ("stablehlo", "safetensors"),
    "stablehlo: the network for JAX on CPU, GPU and TPU; safetensors: its weights by name",
    flag_values=values,
  )


def export(values: flags.FlagValues, words: list[str]) -> int:
  """Writes the best checkpoint's network; returns the exit code.

  Raises:
    UserError: as `research.lab.open_run.Run.export`.
  """
  from research.lab import model_export, open_run, process

  del words
  if not values.workdir:
    raise UserError("export needs the folder of a run: --workdir=runs/NAME/DIGEST")
  run = open_run.open_run(common_flags.path(values, "workdir"), at_step=values.at_step)
  to = common_flags.path(values, "to") if values.to else run.folder / f"export-{values.format}"
  model_export.check_request(to, values.format)
  process.start_jax()
  with own_files_in(common_flags.data_dir(values)):
    made = run.export(to, values.format)
  print(f"{made}: {', '.join(sorted(path.name for path in made.iterdir()))}")
  return 0
