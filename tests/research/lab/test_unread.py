"""Settings that nothing reads are found, and no others."""

import inspect
from types import SimpleNamespace

import flax.linen as nn
import pytest

from research.config import config, flatten, part, static, traced
from research.data import sampling, sets
from research.lab import registry, unread
from research.learner import augmented, supervised
from research.losses import softmax_cross_entropy
from research.optimizers import Optimizer, make
from research.report import Report
from research.training import Training
from tests.helpers import tiny_experiment


@config
class Config:
  """Half of it is read by nothing."""

  width: int = static(2, "read by the model")
  shown: int = static(2, "read by the report")
  idle: int = static(2, "read by nothing")
  steps: int = static(2, "read by the training")
  scale: float = traced(1.0, "moves the images")
  gamma: float = traced(1.0, "of a loss that cannot see it")
  optimizer: Optimizer = part(Optimizer(name="adam"))


learner = augmented(
  supervised(
    lambda config: nn.Sequential([lambda x, **_: x.reshape(len(x), -1), nn.Dense(10)]),
    lambda outputs, batch: Config().gamma * softmax_cross_entropy(outputs, batch),
    lambda config: (8, 8, config.width // config.width),
    lambda config: make(config.optimizer, 1),
  ),
  lambda config, key, images: config.scale * images,
)


def training(config):
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


MODULE = SimpleNamespace(Config=Config, training=training, report=report)


def test_exactly_the_changed_fields_that_nothing_depends_on_are_found():
  changed = Config(4, 4, 4, 4, 0.5, 0.5, Optimizer("adam", 0.5, momentum=0.5, beta1=0.5))
  made, found = unread.of_training(MODULE, changed, training)
  assert found == ["idle", "gamma", "optimizer.momentum"]
  assert (made.learner, made.steps) == (learner, 4)
  sgd = Config(optimizer=Optimizer("momentum", momentum=0.5, beta1=0.5))
  assert unread.of_training(MODULE, sgd, training)[1] == ["optimizer.beta1"]


def test_nothing_is_traced_at_the_defaults(monkeypatch):
  monkeypatch.setattr(unread, "_traces", None)
  assert unread.of_training(MODULE, Config(), training)[1] == []


def test_the_door_says_so_before_it_trains(door, monkeypatch):
  code, _, err = door("--steps=5", "--kind=fancy", "--width=3")
  assert code == 0 and err.count("warning: ") == 1, err
  assert err.startswith("warning: --kind: nothing in tiny_net depends on it")
  monkeypatch.setattr(tiny_experiment.SEVERAL, "Config", Config)
  monkeypatch.setattr(tiny_experiment.SEVERAL, "run", lambda config, lab: Report([]))
  code, _, err = door("--idle=3", experiment="tiny_race")
  assert "warning: --idle: nothing in tiny_race depends on it" in err


# Settings of parts that another setting switches off, and no others, may be idle at the defaults.
OF_A_CHOICE = ("optimizer.", "agent.")
OF_OTHER_NETS = {"architecture": ["dropout"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.catalogue())
def test_no_experiment_has_a_field_that_nothing_reads(monkeypatch, name):
  module = registry.load(registry.select(name)[0])
  monkeypatch.setattr(unread, "changes", lambda default, config: list(unread.fields(config)))
  if hasattr(module, "run"):
    assert unread.of_source(name, module, module.Config()) == []
    return
  with_seed = "seed" in inspect.signature(module.training).parameters
  make = (lambda config: module.training(config, 0)) if with_seed else module.training
  found = unread.of_training(module, module.Config(), make)[1]
  assert [field for field in found if not field.startswith(OF_A_CHOICE)] == OF_OTHER_NETS.get(
    name, []
  )
  assert set(found) < set(flatten(module.Config()))
