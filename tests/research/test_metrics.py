"""Every metric says which way it is better."""

import pytest

from research.errors import UserError
from research.sweep.slots import metrics_of
from research.training import larger_is_better
from tests.fixtures import single_fits, tiny_experiment
from tests.fixtures.little_photographs import replace_convolutions, replace_photographs

pytestmark = pytest.mark.fast

TINY = tiny_experiment.training(tiny_experiment.Config())
# An episode's length depends on the game; the size of signals is to stay, not to grow.
UNDECIDED = ("length", "activation ", "gradient ", "active ")


def test_a_direction_is_declared_and_never_guessed():
  assert not larger_is_better(TINY, "validation/nats")
  assert not larger_is_better(TINY, "test/distance")
  assert larger_is_better(TINY, "test/return")
  assert larger_is_better(TINY._replace(directions={"gloss": True}), "test/gloss")
  for unknown in ("test/gloss", "test/length"):
    with pytest.raises(UserError, match="--direction"):
      larger_is_better(TINY, unknown)


@pytest.mark.slow  # it reads the data of all experiments
@pytest.mark.parametrize("name", single_fits.NAMES)
def test_every_metric_of_the_catalogue_has_a_direction(monkeypatch, name):
  replace_photographs(monkeypatch)
  replace_convolutions(monkeypatch)
  experiment = single_fits.load(name)
  config = experiment.Config()
  training = experiment.training(config, 0)
  for metric in metrics_of(training, config):
    if not metric.rpartition("/")[2].startswith(UNDECIDED):
      assert larger_is_better(training, metric) in (True, False)
