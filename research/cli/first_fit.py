"""The first fit of an experiment, found without training anything."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from research.errors import UserError
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.training import PLAIN, Training


class _FoundFirstFit(Exception):
  """Carries what an experiment asked its lab to fit."""


class _Probe(Lab):
  """A lab that fits nothing: it hands over the first fit that is asked of it."""

  def __init__(self, seed: int):
    self.seed, self.conditions = seed, PLAIN

  def keep(self, name: str, content: str) -> None:
    """Nothing is learnt, so nothing is kept."""

  def fit(self, name: str, config: Any, training: Training, *, schedule: Any = ()) -> NoReturn:
    raise _FoundFirstFit(config, training)

  def compare(
    self,
    name: str,
    configs: Mapping[str, Any],
    training: Callable[[Any, int], Training],
    *,
    repeats: int = 1,
  ) -> NoReturn:
    config = next(iter(configs.values()))
    raise _FoundFirstFit(config, training(config, self.seed))


def first_training(
  experiment: Experiment, config: Any, seed: int, asking: str
) -> tuple[Any, Training]:
  """Config and training of the experiment's first fit.

  Args:
    experiment: of which it is the first.
    config: the experiment's settings.
    seed: of the run.
    asking: the flag or verb that asks, for the message.

  Raises:
    UserError: for an experiment without any.
  """
  if experiment.training:
    return config, experiment.training(config, seed)
  try:
    experiment.run(config, _Probe(seed))
  except _FoundFirstFit as found:
    return found.args
  raise UserError(f"{asking}: this experiment fits nothing, so that there is nothing to look at")
