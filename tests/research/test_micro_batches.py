import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.config import nested, pytree_config, static, traced
from research.data import sampling
from research.data.text import language
from research.errors import UserError
from research.layers.batch_norm import BatchNorm
from research.layers.dropout import Dropout
from research.learner import supervised
from research.losses import softmax_cross_entropy
from research.metrics import Mean
from research.models.language_model import LanguageModel
from research.optimizers import Optimizer, optimizer_of
from research.training import Training
from research.truncated_bptt import truncated_bptt
from tests.fixtures.equivalence import assert_devices_agree, raw
from tests.fixtures.noisy_net import data_set

pytestmark = pytest.mark.fast


@pytree_config
class Config:
  dropout: float = traced(0.3, "dropout rate")
  normalises: bool = static(False, "whether with batch normalisation")
  optimizer: Optimizer = nested(Optimizer("momentum", 0.5))


class Network(nn.Module):
  """Dense, perhaps batch normalisation, dropout, dense."""

  dropout: float
  normalises: bool

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Dense(6, use_bias=False)(x.reshape(len(x), -1))
    x = BatchNorm()(x, train=train) if self.normalises else x
    return nn.Dense(3)(Dropout(self.dropout)(nn.relu(x), train=train))


def weighted(logits, batch):
  """The loss in which the last class counts three times."""
  weight = 1.0 + 2.0 * (batch["label"] > 1)
  return Mean(weight * softmax_cross_entropy(logits, batch), weight)


LEARNER = supervised(
  lambda config: Network(config.dropout, config.normalises),
  weighted,
  lambda config: (4, 4, 1),
  lambda config: optimizer_of(config, 9),
)


def in_parts(count, **settings):
  return Config(optimizer=Optimizer("momentum", 0.5, micro_batches=count), **settings)


def after(learner, config, batches):
  state, step = jax.jit(learner.init)(config, jax.random.key(0)), jax.jit(learner.step)
  for batch in batches:
    state, metrics = step(config, state, batch)
  return raw((state, metrics))


def assert_close(a, b):
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), a, b)


def test_four_parts_are_the_large_batch_with_dropout_weights_and_padding():
  padding = jnp.array([1.0] * 17 + [0.0] * 3)
  batches = [
    jax.tree.map(lambda array, at=at: array[at : at + 20], data_set()) | {"weight": padding}
    for at in (0, 10)
  ]
  whole = after(LEARNER, Config(), batches)
  assert_close(after(LEARNER, in_parts(4), batches), whole)


def test_batch_statistics_are_those_of_one_part_and_move_with_each():
  quarter = jax.tree.map(lambda array: array[:5], data_set())
  batch = jax.tree.map(lambda array: jnp.repeat(array, 4, axis=0), quarter)  # equal parts
  whole = after(LEARNER, Config(dropout=0.0, normalises=True), [batch])[0]
  parts = after(LEARNER, in_parts(4, dropout=0.0, normalises=True), [batch])[0]
  assert_close(parts.params, whole.params)
  means = [state.variables["batch_stats"]["BatchNorm_0"]["mean"] for state in (whole, parts)]
  np.testing.assert_allclose(means[1], means[0] * (1 - 0.9**4) / (1 - 0.9), rtol=1e-5)


def test_a_batch_that_does_not_divide_is_refused():
  batch = jax.tree.map(lambda array: array[:6], data_set())
  with pytest.raises(UserError, match=r"micro_batches=4 does not divide a batch of 6 examples"):
    after(LEARNER, in_parts(4), [batch])


@pytree_config
class Reader:
  optimizer: Optimizer = nested(Optimizer("sgd", 0.5))


def test_parts_of_a_text_keep_their_carries():
  reader = truncated_bptt(
    lambda config: LanguageModel(9, 0, 5, 1, "lstm"),
    lambda config: optimizer_of(config, 1),
    lambda config: 6,
  )
  text = np.random.default_rng(0).integers(1, 9, 3 * 6 * 4 + 1).astype(np.int32)
  text[40:52] = 0  # padding, so that parts weigh unlike each other
  data = jax.tree.map(jnp.asarray, language.partition(text, 6, 4))
  batches = [jax.tree.map(lambda array, at=at: array[at : at + 6], data) for at in (0, 6, 12)]
  parts = Reader(optimizer=Optimizer("sgd", 0.5, micro_batches=3))
  assert_close(after(reader, parts, batches), after(reader, Reader(), batches))


@pytest.mark.slow
def test_devices_share_the_parts():
  data = data_set()
  training = Training(LEARNER, data, sampling.by_epoch(12), 9, {"test": data}, 9, 9)
  assert_devices_agree(in_parts(2, normalises=True), training)
