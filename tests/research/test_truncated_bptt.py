import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import compile as compiling
from research.config import nested, pytree_config, static
from research.data import sampling
from research.data.text import language
from research.models.language_model import LanguageModel
from research.optimizers import Optimizer, make_optimizer
from research.training import Training
from research.truncated_bptt import truncated_bptt
from tests.fixtures.equivalence import assert_devices_agree

BATCH, LENGTH = 6, 4


@pytree_config
class Config:
  hidden: int = static(5, "units")
  optimizer: Optimizer = nested(Optimizer("sgd", 0.0))


LEARNER = truncated_bptt(
  lambda config: LanguageModel(9, 0, config.hidden, 1, "lstm"),
  lambda config: make_optimizer(config.optimizer, 1),
  lambda config: BATCH,
)
TEXT = np.random.default_rng(0).integers(1, 9, 3 * BATCH * LENGTH + 1).astype(np.int32)
DATA = language.partition(TEXT, BATCH, LENGTH)


def trained(settings, steps):
  program = compiling.compile_learner(LEARNER, sampling.in_order(BATCH), 100)
  state = program.place(jax.jit(LEARNER.init)(settings, jax.random.key(0)))
  data = program.place(jax.tree.map(jnp.asarray, DATA))
  state, metrics = program.steps(steps, settings, state, data, jax.random.key(1), jnp.int32(0))
  return state, np.asarray(metrics["loss"])


def test_segments_are_read_as_one_text():
  state, losses = trained(Config(), 3)
  whole = language.partition(TEXT, BATCH, 3 * LENGTH)
  means = LEARNER.evaluate(Config(), state, jax.tree.map(jnp.asarray, whole))
  together = float(means["loss"].total / means["loss"].weight)
  assert np.mean(losses) == pytest.approx(together, rel=1e-6)
  apart = LEARNER.evaluate(Config(), state, jax.tree.map(jnp.asarray, DATA))["loss"]
  assert abs(float(apart.total / apart.weight) - together) > 1e-4


def test_the_second_epoch_starts_from_nothing_again():
  _, losses = trained(Config(), 6)
  np.testing.assert_allclose(losses[3:], losses[:3], rtol=1e-6)


def test_devices_share_the_carries():
  settings = Config(optimizer=Optimizer("sgd", 0.5))  # a batch of 6 does not divide over 8 devices
  training = Training(
    LEARNER,
    DATA,
    sampling.in_order(BATCH),
    steps=3,
    evaluate={"test": DATA},
    evaluate_every=3,
    log_every=3,
  )
  assert_devices_agree(settings, training)
