"""Weights of classes in the training loss, and draws that make classes equal."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from research import class_balance
from research.config import fields, nested, pytree_config, static
from research.data import sampling
from research.data.text import language
from research.errors import UserError
from research.losses import softmax_cross_entropy, squared_error
from research.models.language_model import LanguageModel
from research.optimizers import Optimizer
from research.task import Task, bptt_training, supervised_training
from research.training import on_device

pytestmark = pytest.mark.fast

LABELS = np.array([0] * 12 + [1] * 3 + [2] * 1, np.int32)
DATA = {
  "image": np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32),
  "label": LABELS,
}


@pytree_config
class Config:
  optimizer: Optimizer = nested(Optimizer("sgd", 1.0))
  batch_size: int = static(16, "examples")
  steps: int = static(2, "updates")


class Linear(nn.Module):
  """Logits that are linear in the inputs."""

  @nn.compact
  def __call__(self, x, train=False):
    return nn.Dense(3)(x)


TRAINING = supervised_training(
  lambda config: Linear(), lambda config, seed: Task(DATA, {"test": DATA})
)


def made(**settings):
  config = Config(optimizer=Optimizer("sgd", 1.0, **settings))
  return TRAINING(config, 0), on_device(config)


def test_balanced_weights_are_scikit_learns():
  found = class_balance.balanced_weights(LABELS)
  np.testing.assert_allclose(
    found, compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
  )
  assert np.isclose(found[LABELS].mean(), 1)
  np.testing.assert_array_equal(class_balance.balanced_weights(LABELS * 2)[[1, 3]], 0)


@pytest.mark.parametrize("weights", ["balanced", "1, 2, 0.5"])
@pytest.mark.parametrize("parts", [None, 4])
def test_a_step_descends_the_weighted_loss_and_evaluations_stay(weights, parts):
  training, config = made(class_weights=weights, micro_batches=parts)
  by_class = (
    class_balance.balanced_weights(LABELS) if weights == "balanced" else np.array([1, 2, 0.5])
  )
  state = training.learner.init(config, jax.random.key(0))
  batch = {name: jnp.asarray(array) for name, array in training.data.items()}

  def objective(params):
    logits = Linear().apply({"params": params}, batch["image"])
    return jnp.mean(by_class[LABELS] * softmax_cross_entropy(logits, batch))

  expected = jax.tree.map(lambda p, g: p - g, state.params, jax.grad(objective)(state.params))
  after, metrics = training.learner.step(config, state, batch)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.params, expected)
  assert np.isclose(metrics["loss"], objective(state.params), atol=1e-6)
  plain, _ = made()
  held_out = {name: jnp.asarray(array) for name, array in DATA.items()}
  assert training.learner.evaluate(config, state, batch)["loss"].total == (
    plain.learner.evaluate(config, state, held_out)["loss"].total
  )


def test_what_is_off_is_in_no_config_and_no_data():
  training, _ = made()
  assert set(training.data) == {"image", "label"}
  assert training.sampler == sampling.by_epoch(16)
  assert made(class_sampling="balanced")[0].sampler == sampling.balanced(16)
  given = {f.name: f.value for f in fields(Config()) if f.value is not None}
  assert not {name for name in given if "class" in name}


@pytest.mark.parametrize("weights", ["1, 2", "1, two, 3", "0, 0, 0", "1, -1, 1", "nan, 1, 1", ""])
def test_wrong_weights_are_refused_in_a_line_that_says_how_many_there_are(weights):
  with pytest.raises(UserError, match=r"give balanced, or 3 numbers from 0 up"):
    made(class_weights=weights)


@pytest.mark.parametrize("setting", ["class_weights", "class_sampling"])
def test_experiments_without_classes_refuse_both(setting):
  config = Config(optimizer=Optimizer("sgd", 1.0, **{setting: "balanced"}))
  targets = {"image": DATA["image"], "target": DATA["image"][:, :3]}
  regression = supervised_training(
    lambda config: Linear(), lambda config, seed: Task(targets, {}), loss=squared_error, metrics={}
  )
  text = language.partition(np.arange(200, dtype=np.int32) % 5, 16, 4)
  next_token = bptt_training(
    lambda config: LanguageModel(8, 0, 4, 1, "rnn"), lambda config, seed: Task(text, {})
  )
  for training in (regression, next_token):
    with pytest.raises(UserError, match=rf"optimizer\.{setting}: .*no class each; leave it out"):
      training(config, 0)
