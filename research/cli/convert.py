"""The verb `convert`: a data set as files that are mapped into memory."""

from absl import flags

from research.cli import common_flags
from research.data.sources import own_files_in
from research.errors import UserError


def define(values: flags.FlagValues) -> None:
  """Defines the verb's flags."""
  text = lambda name, help: flags.DEFINE_string(name, None, help, flag_values=values)
  text("dataset", "the data set: any name that an experiment's --dataset takes")
  text("to", "the new folder, which --dataset=npy:FOLDER then names")
  text("data_dir", "folder with raw files of the data set, or prepared TFDS sets")


def convert(values: flags.FlagValues, words: list[str]) -> int:
  """Converts a data set, or goes on with a conversion that was interrupted.

  Raises:
    UserError: as `research.data.conversion.convert`.
  """
  from research.data import conversion  # Pillow takes a while to import

  del words
  if not (values.dataset and values.to):
    raise UserError("convert needs --dataset=NAME and --to=FOLDER")
  folder = common_flags.path(values, "to")
  with own_files_in(common_flags.data_dir(values)):
    spec = conversion.convert(values.dataset, folder)
  shape = "x".join(map(str, spec.image_shape))
  print(
    f"--dataset=npy:{folder}: {spec.train_size:,} training and {spec.test_size:,} test examples"
    + (f" of {shape}" if shape else "")
    + (f" in {spec.classes} classes" if spec.classes else "")
  )
  return 0
