"""Settings that nothing reads are found, and no others."""

import flax.linen as nn
import pytest

from research.config import flatten, nested, pytree_config, static, traced
from research.data import sampling, sets
from research.lab import registry, unread
from research.lab.experiment import Experiment, single_fit
from research.learner import supervised
from research.learner_transforms import augmented
from research.losses import softmax_cross_entropy
from research.optimizers import Optimizer, make_optimizer
from research.report import Report
from research.training import Training
from tests.fixtures import tiny_experiment


@pytree_config
class Config:
  """Half of it is read by nothing."""

  width: int = static(2, "read by the model")
  shown: int = static(2, "read by the report")
  idle: int = static(2, "read by nothing")
  steps: int = static(2, "read by the training")
  scale: float = traced(1.0, "moves the images")
  gamma: float = traced(1.0, "of a loss that cannot see it")
  optimizer: Optimizer = nested(Optimizer(name="adam"))


learner = augmented(
  supervised(
    lambda config: nn.Sequential([lambda x, **_: x.reshape(len(x), -1), nn.Dense(10)]),
    lambda outputs, batch: Config().gamma * softmax_cross_entropy(outputs, batch),
    lambda config: (8, 8, config.width // config.width),
    lambda config: make_optimizer(config.optimizer, 1),
  ),
  lambda config, key, images: config.scale * images,
)


def training(config, seed):
  digits = sets.load("digits")
  return Training(
    learner,
    digits.train,
    sampling.by_epoch(5),
    steps=config.steps,
    evaluate={"test": digits.test},
    evaluate_every=1,
    log_every=1,
  )


def report(config, fit):
  return drawn(config)


def drawn(config):
  return [number for number in range(config.shown)]


EXPERIMENT = single_fit(Config, training, report)


def test_exactly_the_changed_fields_that_nothing_depends_on_are_found():
  changed = Config(4, 4, 4, 4, 0.5, 0.5, Optimizer("adam", 0.5, momentum=0.5, beta1=0.5))
  assert unread.of_training(EXPERIMENT, changed, 0) == ["idle", "gamma", "optimizer.momentum"]
  sgd = Config(optimizer=Optimizer("momentum", momentum=0.5, beta1=0.5))
  assert unread.of_training(EXPERIMENT, sgd, 0) == ["optimizer.beta1"]


def test_nothing_is_traced_at_the_defaults(monkeypatch):
  monkeypatch.setattr(unread, "_traces", None)
  assert unread.of_training(EXPERIMENT, Config(), 0) == []


def test_the_command_line_warns_of_unread_settings_before_it_trains(cli, monkeypatch, tmp_path):
  code, _, err = cli("--steps=5", "--kind=fancy", "--width=3")
  assert code == 0 and err.count("warning: ") == 1, err
  assert err.startswith("warning: --kind: nothing in tiny_net depends on it")
  several = Experiment(Config, lambda config, lab: Report([]))
  tiny_experiment.install(monkeypatch, tmp_path, tiny_race=several)
  code, _, err = cli("--idle=3", experiment="tiny_race")
  assert "warning: --idle: nothing in tiny_race depends on it" in err


# Settings of parts that another setting switches off, and no others, may be idle at the defaults.
OF_A_CHOICE = ("optimizer.", "agent.")
OF_OTHER_NETS = {"architecture": ["dropout"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.catalogue())
def test_no_experiment_has_a_field_that_nothing_reads(monkeypatch, name):
  experiment = registry.load(registry.select(name)[0])
  monkeypatch.setattr(unread, "changes", lambda default, config: list(unread.fields(config)))
  if not experiment.is_single_fit:
    assert unread.of_source(experiment, experiment.Config()) == []
    return
  found = unread.of_training(experiment, experiment.Config(), 0)
  assert [field for field in found if not field.startswith(OF_A_CHOICE)] == OF_OTHER_NETS.get(
    name, []
  )
  assert set(found) < set(flatten(experiment.Config()))
