"""The verb `new`: a small experiment in a file of one's own, to start from."""

import keyword
from pathlib import Path

from absl import flags

from research.errors import UserError
from research.store.files import as_path, write_atomically

TEMPLATE = '''"""NAME: a small network of my own.

The first line stands in reports; say below it what is tried, and what to expect.

    python launch.py --experiment=NAME.py
"""

import flax.linen as nn

import research as ln


@ln.pytree_config
class Config:
  """Every field is a flag: `static` ones fix the program, `traced` ones can be swept in one."""

  dataset: str = ln.static("digits", "digits, mnist, fashion_mnist, folder:PATH, tfds:NAME")
  hidden: int = ln.static(64, "hidden units", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="adam", learning_rate=3e-3))
  batch_size: int = ln.static(50, "examples per step", at_least=1)
  epochs: int = ln.static(10, "passes over the training set", at_least=1)


class Network(nn.Module):
  """One hidden layer; change it."""

  hidden: int
  classes: int

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1)))
    return nn.Dense(self.classes)(x)


def model(config: Config) -> nn.Module:
  """The network of a config, with an output for each class of the data."""
  return Network(config.hidden, ln.sets.spec(config.dataset).classes)


# Reads dataset, batch_size, epochs and optimizer from the config. The default task has the set's
# own test images; the default loss is the cross-entropy.
training = ln.supervised_training(model)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test accuracy and the curves. Claims are optional, and their ids are free."""
  claim = ln.claims("NAME", unit="%")
  return ln.Report(
    [claim("test accuracy", "nobody yet", fit.last("test/accuracy"), ln.at_least(0.9))],
    [ln.learning_curves(fit, title="NAME", caption="Loss and accuracy on each set.")],
  )


experiment = ln.single_fit(Config, training, report)
'''


def new(values: flags.FlagValues, words: list[str]) -> int:
  """Writes an experiment's file of the name that is given; returns the exit code.

  Raises:
    UserError: for a name that no module can have, or a file that is there already.
  """
  del values
  if len(words) != 1:
    raise UserError("new writes one file; give its name, as in `launch.py new mine`")
  path = as_path(words[0], "new ")
  path = path if path.suffix == ".py" else path.with_name(f"{path.name}.py")
  name = path.stem
  if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or len(name) > 40:
    raise UserError(f"new {words[0]}: {name!r} cannot name a module; take letters, digits and _")
  if path.exists():
    raise UserError(f"{path} is there already, and is left as it is; give another name")
  if not path.parent.is_dir():
    raise UserError(f"new {words[0]}: there is no folder {path.parent}; make it first")
  claim = name.lstrip("_") or "mine"
  text = TEMPLATE.replace('claims("NAME"', f'claims("{claim}"').replace("NAME", name)
  try:
    write_atomically(path, text)
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror}; give another folder") from error
  print(f"{path} is written; train it by: python launch.py --experiment={Path(path)}")
  return 0
