"""Labels that no output stands for are refused before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.buckets import bucketed
from research.data import sampling
from research.errors import UserError
from research.lab import lab as lab_module
from research.lab.lab import Lab
from research.lab.labels import check_labels
from research.learner import supervised
from research.learner_transforms import augmented, with_loss_after_update
from research.losses import softmax_cross_entropy, squared_error, token_cross_entropy
from research.models.language_model import LanguageModel
from research.models.mlp import MLP
from research.optimizers import Optimizer, make_optimizer
from research.training import Options, Training
from tests.fixtures.tiny_experiment import Config

pytestmark = pytest.mark.fast


def learner_of(loss=softmax_cross_entropy, **more):
  model, rule = lambda config: MLP((4, 3)), lambda config: make_optimizer(Optimizer("sgd"), 4)
  return supervised(model, loss, lambda config: (2, 2, 1), rule, **more)


def training_on(train, test, learner=None):
  held = lambda label: {"image": np.zeros((len(label), 2, 2, 1), np.uint8), "label": label}
  learner, sampler = learner or learner_of(), sampling.by_epoch(2)
  sets = held(np.array(train)), {"validation": held(np.zeros(0, int)), "test": held(np.array(test))}
  return Training(learner, sets[0], sampler, 4, sets[1], 4, 4)


@pytest.mark.parametrize(
  ("train", "test", "says"),
  [
    ([0, 1, 3], [0], "label 3 of example 2 of the train set is none of the network's 3 outputs"),
    ([0, 1, 2], [1, -1], "label -1 of example 1 of the test set"),
  ],
)
def test_one_line_names_the_label_the_set_and_the_outputs(tmp_path, train, test, says, monkeypatch):
  lab, training = Lab(tmp_path, seed=0, options=Options()), training_on(train, test)
  monkeypatch.delattr(lab_module, "run_fit")
  monkeypatch.delattr(lab_module, "compile_for_one")
  with pytest.raises(UserError, match=says):
    lab.fit("fit", Config(), training)
  with pytest.raises(UserError, match=says):
    lab.compare("race", {"a": Config()}, lambda config, seed: training)
  assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
  "learner",
  [
    learner_of(),
    learner_of(lambda outputs, batch: outputs[:, 0]),  # judged by its accuracy
    with_loss_after_update(learner_of()),
    augmented(learner_of(), lambda config, key, images: images),
    bucketed(learner_of(), []),
  ],
)
def test_the_labels_of_every_learner_that_reads_any_are_checked(learner):
  check_labels(training_on([0, 1, 2], [2], learner), Config())
  with pytest.raises(UserError, match="label 3 of example 0 of the train set"):
    check_labels(training_on([3], [2], learner), Config())


def test_learners_that_read_no_labels_accept_any_labels():
  learner = learner_of(squared_error, metrics={})
  check_labels(training_on([7], [9], learner), Config())
  check_labels(training_on([0.5], [9.5]), Config())


def test_tokens_are_checked_too():
  class Model(LanguageModel):
    def __call__(self, tokens, train=False):
      return super().__call__(tokens)[0]

  tokens = jax.ShapeDtypeStruct((3,), jnp.int32)
  learner = supervised(
    lambda config: Model(5, 0, 4, 1, "gru"),
    token_cross_entropy,
    lambda config: tokens,
    lambda config: make_optimizer(Optimizer("sgd"), 4),
    metrics={},
  )
  data = {"target": np.array([[1, 2, 3, 4], [0, 1, 5, 2]])}
  training = training_on([0], [0], learner)._replace(data=data, evaluate={})
  with pytest.raises(UserError, match=r"target 5 of example 1 .* network's 5 outputs"):
    check_labels(training, Config())
