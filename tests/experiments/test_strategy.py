"""Which way to go on: small versions of whole experiments, and the traps."""

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from experiments.strategy import fine_tuning, label_noise
from research.config import replace
from research.initializers import kernel_init
from research.models.mlp import MLP
from research.task import supervised_training
from tests.fixtures.little_data import replace_sets
from tests.fixtures.little_photographs import replace_photographs, replace_weights
from tests.fixtures.stand_in_labs import UntrainedLab


def many_labels(count=20_000):
  label = (np.arange(count) % 10).astype(np.int32)
  data = label_noise.prone({"image": np.zeros((count, 1)), "label": label})
  return jax.tree.map(jnp.asarray, data)


def test_so_many_labels_are_wrong_and_each_other_class_as_often():
  data = many_labels()
  given = label_noise.given_labels(label_noise.Config(at_random=0.3), data)
  wrong = given != data["label"]
  assert abs(wrong.mean() - 0.3) < 0.01
  steps = np.bincount((given - data["label"])[wrong] % 10, minlength=10) / wrong.sum()
  np.testing.assert_allclose(steps, [0] + [1 / 9] * 9, atol=0.02)


def test_systematic_errors_are_fours_called_nines():
  data = many_labels()
  given = label_noise.given_labels(label_noise.Config(fours=0.25), data)
  wrong = given != data["label"]
  assert set(np.asarray(data["label"][wrong])) == {4} and set(np.asarray(given[wrong])) == {9}
  assert abs(wrong.mean() - 0.025) < 0.004


def test_no_share_leaves_all_labels_and_a_larger_one_adds_to_a_smaller():
  data = many_labels()
  given = lambda share: label_noise.given_labels(label_noise.Config(at_random=share), data)
  np.testing.assert_array_equal(given(0.0), data["label"])
  few, many = given(0.1), given(0.2)
  few_wrong = few != data["label"]
  np.testing.assert_array_equal(few[few_wrong], many[few_wrong])


def test_only_fours_count_in_their_recall():
  logits = jnp.eye(10)[jnp.array([4, 9, 4, 3])]
  mean = label_noise.recall_of_fours(logits, {"label": jnp.array([4, 4, 1, 3])})
  assert mean.total.sum() == 1 and mean.weight.sum() == 2


def little_net(config):
  return MLP((config.hidden, 10), kernel_init=kernel_init(config.init))


def test_a_net_learns_the_labels_that_are_given(monkeypatch):
  replace_sets(monkeypatch)
  config = label_noise.Config(fours=1.0, batch_size=20)
  training = label_noise.training(config, 0)
  state = training.learner.init(config, jax.random.key(0))
  right = {
    **training.data,
    "label": np.where(training.data["label"] == 4, 9, training.data["label"]),
  }
  after, metrics = jax.jit(training.learner.step)(config, state, training.data)
  plain = supervised_training(little_net, label_noise.task)(config, 0).learner
  expected, others = jax.jit(plain.step)(config, state, right)
  assert metrics["loss"] == others["loss"]
  jax.tree.map(np.testing.assert_array_equal, after.params, expected.params)


def test_label_noise_reports_both_kinds(monkeypatch):
  replace_sets(monkeypatch)
  report = label_noise.run(replace(label_noise.Config(), {"batch_size": 20}), UntrainedLab())
  assert len(report.claims) == 4
  assert [picture.name for picture in report.pictures] == ["lost"]


def test_photographs_are_split_by_the_seed_a_third_of_each_family_to_test(monkeypatch):
  data = replace_photographs(monkeypatch)
  config = fine_tuning.Config()
  tasks = [fine_tuning.photographs(config, seed) for seed in (0, 0, 1)]
  for task in tasks:
    assert np.bincount(task.train["label"]).tolist() == [2] * 7
    both = np.concatenate([task.train["image"], task.evaluate["test"]["image"]])
    assert len(np.unique(both.reshape(21, -1), axis=0)) == len(data["label"])
  np.testing.assert_array_equal(tasks[0].train["image"], tasks[1].train["image"])
  assert (tasks[0].train["image"] != tasks[2].train["image"]).any()


def test_fine_tuning_begins_with_the_weights_but_for_its_own_head(monkeypatch):
  replace_weights(monkeypatch)
  config = fine_tuning.Config()
  fresh = {"net": {"stem": {"kernel": jnp.zeros((3, 3, 3, 32))}, "head": {"bias": jnp.zeros(7)}}}
  plain = ln.Learner(lambda config, key: ln.TrainState(0, key, fresh, {}, None), None, None)
  begun = fine_tuning.begin_trained(plain).init(config, jax.random.key(0)).params["net"]
  np.testing.assert_array_equal(begun["stem"]["kernel"], 0.5)
  np.testing.assert_array_equal(begun["head"]["bias"], 0)
  assert fine_tuning.not_loaded(config) == (
    "not loaded: params/net/head/bias (given [1000], needed [7]), "
    "params/net/head/kernel (given [1280, 1000], needed [1280, 7])"
  )


def test_images_are_turned_left_to_right_or_left_as_they_are():
  images = jax.random.uniform(jax.random.key(0), (40, 2, 3, 1))
  turned = fine_tuning.mirrored(fine_tuning.Config(), jax.random.key(1), images)
  is_turned = (turned == images[:, :, ::-1]).all(axis=(1, 2, 3))
  assert 8 < is_turned.sum() < 32
  np.testing.assert_array_equal(turned[~is_turned], images[~is_turned])
