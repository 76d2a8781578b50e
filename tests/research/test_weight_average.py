import jax
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.lab import resume
from research.learner import supervised
from research.losses import softmax_cross_entropy
from research.models.mlp import MLP
from research.optimizers import BESIDE, Optimizer, make_optimizer, optimizer_of
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.host_state import to_host
from research.weight_average import averaged
from tests.fixtures.noisy_net import Config, data_set

pytestmark = pytest.mark.fast

PLAIN = supervised(
  lambda config: MLP((config.width, 3)),
  softmax_cross_entropy,
  lambda config: (4, 4, 1),
  lambda config: optimizer_of(config, 9),
)
LEARNER = averaged(PLAIN)
ON = Config(optimizer=Optimizer("sgd", 0.5, ema=0.7))
STEP, INIT = jax.jit(LEARNER.step), jax.jit(LEARNER.init)


def steps(config, count=3):
  states = [INIT(config, jax.random.key(0))]
  for _ in range(count):
    states.append(STEP(config, states[-1], jax.tree.map(lambda array: array[:8], data_set()))[0])
  return states


def assert_close(a, b):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), a, b)


def test_the_average_is_optaxs_and_the_raw_weights_are_those_of_plain_training():
  plain, ours = steps(Config(optimizer=Optimizer("sgd", 0.5))), steps(ON)
  ema = optax.ema(0.7)
  memory = ema.init(plain[0].params)
  for before, state in zip(plain[1:], ours[1:], strict=True):
    average, memory = ema.update(before.params, memory)
    assert_close(state.raw, before.params)
    assert_close(state.params, average)
  assert_close(ours[0].params, ours[0].raw)
  assert plain[0].raw is None


def test_the_average_is_evaluated():
  last, data = steps(ON)[-1], data_set()
  found = LEARNER.evaluate(ON, last, data)["loss"]
  assert found.total == PLAIN.evaluate(ON, last._replace(raw=None), data)["loss"].total
  assert found.total != PLAIN.evaluate(ON, last._replace(params=last.raw), data)["loss"].total


def test_weights_of_another_run_begin_the_average_too(monkeypatch, tmp_path):
  source, state = steps(ON)[-1], INIT(ON, jax.random.key(1))
  arrays = {name: array for name, array in to_host(source).items() if "raw" not in name}
  held = lambda *given, **others: Snapshot(4, arrays, {})
  monkeypatch.setattr(Checkpoints, "held", held)
  begun = resume.with_weights(state, tmp_path, "train")
  assert_close(begun.params, source.params)
  assert_close(begun.raw, source.params)


@pytest.mark.parametrize("name", BESIDE)
def test_a_learner_that_does_not_read_a_setting_refuses_it(name):
  values: dict = {"precision": "bfloat16", "full_precision": "Dense_0"}
  values |= {"micro_batches": 1, "class_weights": "balanced", "class_sampling": "balanced"}
  optimizer = Optimizer(**{name: values.get(name, 0.5)})
  with pytest.raises(UserError, match=rf"optimizer\.{name}: this learner .*; leave it out"):
    make_optimizer(optimizer, 9)
  make_optimizer(optimizer, 9, beside=(name,))
