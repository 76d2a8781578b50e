import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import research as ln
from research.optimizers import make_optimizer
from tests.fixtures.little_data import replace_sets

pytestmark = pytest.mark.fast


@ln.pytree_config
class Epochs:
  """Lengths in epochs."""

  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 0.1))
  batch_size: int = ln.static(20, "examples per step")
  epochs: int = ln.static(3, "passes over the training set")
  examples: int = ln.static(30, "training images")


@ln.pytree_config
class Steps:
  """A length in steps."""

  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.1, "linear"))
  batch_size: int = ln.static(20, "examples per step")
  steps: int = ln.static(7, "updates")
  log_every: int = ln.static(1, "updates in a row of the log")


def model(config):
  del config
  return ln.MLP((4, 10))


def test_lengths_in_epochs_are_of_the_examples_that_are_learned_from(monkeypatch):
  replace_sets(monkeypatch)
  training = ln.supervised_training(model, epochs_per_evaluation=2)(Epochs(), 0)
  assert (training.steps, training.log_every, training.evaluate_every) == (6, 2, 4)
  assert training.steps_per_epoch == 2 and len(training.data["label"]) == 30
  assert ln.supervised_training(model, epochs_per_evaluation=0)(Epochs(), 0).evaluate_every == 6
  assert list(training.evaluate) == ["test"]


def test_lengths_in_steps_are_evaluated_at_the_end(monkeypatch):
  replace_sets(monkeypatch)
  training = ln.supervised_training(model)(Steps(), 0)
  assert (training.steps, training.log_every, training.evaluate_every) == (7, 1, 7)
  often = ln.supervised_training(model, evaluations=3, evaluation_batch_size=5)(Steps(), 0)
  assert (often.evaluate_every, often.evaluation_batch_size) == (2, 5)


@ln.pytree_config
class Split:
  examples: int = ln.static(30, "training images")
  held_out: int = ln.static(20, "images after those")


def test_shuffled_images_are_split_by_the_seed_and_rank_the_checkpoints(monkeypatch):
  replace_sets(monkeypatch)
  train, evaluate, best, _ = ln.with_train_set(ln.shuffled_images)(Split(), 0)
  assert len(train["label"]) == 30 and len(evaluate["validation"]["label"]) == 20
  assert list(evaluate) == ["train set", "validation"] and best == "validation/accuracy"
  other = ln.shuffled_images(Split(), 1).train["image"]
  assert (train["image"] != other).any()


@ln.pytree_config
class Clipped:
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.5))
  clip: float = ln.traced(0.1, "longest gradient")
  batch_size: int = ln.static(20, "examples per step")
  steps: int = ln.static(30, "updates")


def test_a_config_with_clip_has_short_gradients_and_a_log_can_have_more_rows(monkeypatch):
  replace_sets(monkeypatch)
  training = ln.supervised_training(model, evaluations=2, rows=6)(Clipped(), 0)
  assert (training.evaluate_every, training.log_every) == (15, 5)
  for config in (Clipped(), Clipped(clip=0.01)):
    state = training.learner.init(config, jax.random.key(0))
    batch = {name: jnp.asarray(array[:20]) for name, array in training.data.items()}
    after, _ = training.learner.step(config, state, batch)
    moved = jax.tree.map(lambda a, b: a - b, after.params, state.params)
    assert float(jnp.linalg.norm(ravel_pytree(moved)[0])) == pytest.approx(
      0.5 * config.clip, rel=1e-4
    )


def test_each_config_is_fitted_at_the_runs_seed():
  asked = []

  class Recording:
    seed = 3

    def fit(self, name, config, training):
      asked.append((name, config, training))
      return name

  training = lambda config, seed: ("training", config, seed)
  assert ln.fit_each(Recording(), {"a": 1, "b": 2}, training) == {"a": "a", "b": "b"}
  assert asked == [("a", 1, ("training", 1, 3)), ("b", 2, ("training", 2, 3))]


def test_the_training_images_can_be_evaluated_too(monkeypatch):
  replace_sets(monkeypatch)
  train, evaluate, *_ = ln.with_train_set(ln.images)(Epochs(), 0)
  assert list(evaluate) == ["train set", "test"] and evaluate["train set"] is train


def test_lengths_in_steps_are_evaluated_as_often_as_the_config_says(monkeypatch):
  @ln.pytree_config
  class Often(Steps):
    """A length in steps, evaluated on the way."""

    evaluate_every: int = ln.static(3, "updates between evaluations")

  replace_sets(monkeypatch)
  training = ln.supervised_training(model)(Often(), 0)
  assert (training.steps, training.log_every, training.evaluate_every) == (7, 1, 3)


def test_equal_trainings_share_a_learner_and_unlike_examples_do_not(monkeypatch):
  replace_sets(monkeypatch)
  make = ln.supervised_training(model)
  first, second = make(Epochs(), 0), make(Epochs(epochs=5), 1)
  assert first.learner is second.learner
  assert make(Epochs(examples=20), 0).learner is not first.learner


def test_the_learner_is_the_one_that_supervised_makes(monkeypatch):
  replace_sets(monkeypatch)
  config, key = Steps(), jax.random.key(0)
  training = ln.supervised_training(model)(config, 0)
  plain = ln.supervised(
    model,
    ln.softmax_cross_entropy,
    lambda config: training.data["image"].shape[1:],
    lambda config: make_optimizer(config.optimizer, config.steps),
  )
  batch = {name: jnp.asarray(array[:20]) for name, array in training.data.items()}
  ours, theirs = training.learner.init(config, key), plain.init(config, key)
  for _ in range(3):
    (ours, loss), (theirs, other) = (
      training.learner.step(config, ours, batch),
      plain.step(config, theirs, batch),
    )
    assert loss == other
  jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)


def test_a_task_of_pairs_gives_the_model_its_inputs():
  pairs = {
    "left": np.ones((6, 3), np.float32),
    "right": np.ones((6, 2), np.float32),
    "label": np.arange(6) % 2,
  }
  task = lambda config, seed: ln.Task(pairs, {"test": pairs}, "test/accuracy")
  both = lambda batch: jnp.concatenate([batch["left"], batch["right"]], axis=-1)
  training = ln.supervised_training(model, task, inputs=both, transform=ln.with_loss_after_update)(
    Steps(), 0
  )
  state = training.learner.init(Steps(), jax.random.key(0))
  assert state.params["Dense_0"]["kernel"].shape == (5, 4)
  assert training.best == "test/accuracy"
  assert "loss_after" in training.learner.step(Steps(), state, jax.tree.map(jnp.asarray, pairs))[1]


def test_the_mean_of_the_last_steps_is_over_rows_and_fits():
  rows = [{"step": 0, "x": 9.0}, {"step": 2, "loss": 5.0}, {"step": 4, "loss": 3.0}]
  later = [*rows[:2], {"step": 4, "loss": 1.0}]
  fits = [ln.Fit("f", None, None, history, lambda: None, None) for history in (rows, later)]
  assert ln.mean_of_last(fits, "loss") == ln.mean_of_last(fits, "loss", steps=2) == 2
  assert ln.mean_of_last(fits, "loss", steps=4) == 3.5


def test_a_training_that_has_made_learners_can_be_sent_to_workers_elsewhere(monkeypatch):
  cloudpickle = pytest.importorskip("cloudpickle")
  replace_sets(monkeypatch)
  training = ln.supervised_training(model)
  training(Epochs(), 0)
  sent = cloudpickle.loads(cloudpickle.dumps(training))
  assert sent(Epochs(), 0).steps == training(Epochs(), 0).steps


def unlabelled(train, test):
  held = lambda labels: {"image": np.zeros((len(labels), 3), np.float32), "label": np.array(labels)}
  return lambda config, seed: ln.Task(held(train), {"test": held(test)})


def test_examples_without_a_label_are_left_out(capsys):
  made = ln.supervised_training(model, unlabelled([1, -1, 0], [0, 1]))(Steps(), 0)
  assert made.data["label"].tolist() == [1, 0] and len(made.data["image"]) == 2
  assert made.evaluate["test"]["label"].tolist() == [0, 1]
  said = capsys.readouterr().err
  assert said == "train: left out 1 of 3 examples without a label (-1)\n"


def test_a_set_without_any_label_is_refused():
  with pytest.raises(ln.UserError, match="no example of the test set has a label"):
    ln.supervised_training(model, unlabelled([1, 0], [-1, -1]))(Steps(), 0)


def test_labels_that_nothing_reads_may_be_missing():
  make = ln.supervised_training(model, unlabelled([1, -1], [-1]), loss=ln.squared_error, metrics={})
  assert make(Steps(), 0).data["label"].tolist() == [1, -1]
