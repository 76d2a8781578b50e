"""The classic architectures as experiments: sizes, losses and data, without training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.architectures import architecture, degradation, fashion_race
from experiments.convolution import deep_convnet
from research.errors import UserError
from research.losses import softmax_cross_entropy
from research.models.googlenet import Heads, heads_accuracy, heads_loss


def count(experiment, config):
  learner = experiment.training(config, 0).learner
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=pytest.mark.slow) if name == "googlenet" else name
    for name in architecture.BUILD
  ],
)
def test_every_architecture_is_a_choice_and_steps(name):
  config = architecture.Config(architecture=name)
  learner = architecture.training(config, 0).learner
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  batch = {"image": jnp.zeros((2, 28, 28, 1), jnp.uint8), "label": jnp.zeros(2, jnp.int32)}
  after, metrics = jax.eval_shape(learner.step, config, state, batch)
  assert jax.tree.structure(after) == jax.tree.structure(state)
  assert set(metrics) == {"loss", "accuracy"}


def test_a_wider_net_has_more_parameters():
  narrow, wide = (
    count(architecture, architecture.Config(architecture="densenet", width=width))
    for width in (1, 2)
  )
  assert wide > 3 * narrow


@pytest.mark.parametrize(
  "sizes, says",
  [
    ({"architecture": "vgg", "depth": 12}, r"--depth=12 .*vgg \(it has 11, 13, 16, 19\)"),
    ({"architecture": "plain", "depth": 9}, r"--depth=9 .*8, 14, 20, 26"),
    ({"architecture": "lenet", "depth": 5}, r"--depth=5 .*none"),
    ({"architecture": "googlenet", "width": 3}, "give 1, 2, 4 or 8"),
  ],
)
def test_a_size_that_a_network_does_not_come_in_is_refused(sizes, says):
  with pytest.raises(UserError, match=says):
    architecture.model(architecture.Config(**sizes))


def test_depths_that_are_not_6n_plus_2_are_refused_before_anything_is_trained():
  with pytest.raises(UserError, match="--depths holds 9; "):
    degradation.run(degradation.Config(depths=(8, 9, 20)), lab=None)


def test_twins_of_the_degradation_start_alike_and_see_the_same_batches(monkeypatch):
  """They are compared once for each depth, and the members of a comparison have the same keys."""
  comparisons = []

  class Noted:
    def compare(self, name, configs, training, *, repeats):
      assert [one.is_residual for one in configs.values()] == [False, True]
      comparisons.append([(kind, one.depth) for kind, one in configs.items()])
      return {member: [None] * repeats for member in configs}

  monkeypatch.setattr(degradation, "report", lambda config, fits: list(fits))
  twins = degradation.run(degradation.Config(depths=(8, 20)), Noted())
  assert twins == [("plain", 8), ("residual", 8), ("plain", 20), ("residual", 20)]
  assert comparisons == [twins[:2], twins[2:]]


def test_auxiliary_heads_count_in_the_loss_and_not_in_the_accuracy():
  logits, other = jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 3.0]])
  batch = {"label": jnp.array([0])}
  loss = lambda x: float(softmax_cross_entropy(x, batch)[0])
  heads = Heads(logits, (other, other))
  assert heads_loss(heads, batch)[0] == pytest.approx(loss(logits) + 0.6 * loss(other))
  assert heads_loss(logits, batch)[0] == pytest.approx(loss(logits))
  assert heads_accuracy(heads, batch)[0] == 1


def test_digits_are_enlarged_pixel_by_pixel():
  config = architecture.Config(dataset="digits")
  train, evaluate, *_ = architecture.images(config, 0)
  assert train["image"].shape[1:] == evaluate["test"]["image"].shape[1:] == (32, 32, 1)
  np.testing.assert_array_equal(train["image"][:, ::4, ::4], train["image"][:, 3::4, 3::4])


def test_deep_convnets_forms_have_the_same_weights():
  for form in ("book", "repaired"):
    config = deep_convnet.Config(form=form)
    assert count(deep_convnet, config) == 123_552


def test_twins_of_the_degradation_have_the_same_weights():
  plain, residual = (
    degradation.Config(depth=14, is_residual=is_residual) for is_residual in (False, True)
  )
  assert count(degradation, plain) == count(degradation, residual)


def test_halved_images_are_means():
  image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1) * 4
  data = {"image": image.repeat(3, 0), "label": np.arange(3)}
  half = degradation.halved(data, 2)
  np.testing.assert_array_equal(half["image"][1, :, :, 0], [[10, 18], [42, 50]])
  assert half["label"].tolist() == [0, 1]


@pytest.mark.parametrize(
  "name, parameters",
  [("LeNet, sigmoids", 61_706), ("LeNet, ReLU", 61_706), ("ResNet-8", 297_450)],
)
def test_the_race_has_the_networks_it_says(name, parameters):
  config = fashion_race.Config(network=name)
  assert count(fashion_race, config) == parameters


def test_the_books_lenet_sees_its_images_as_they_are():
  images = jax.random.uniform(jax.random.key(0), (8, 6, 6, 1))
  seen = lambda name: fashion_race.transform(
    fashion_race.Config(network=name), jax.random.key(1), images
  )
  np.testing.assert_array_equal(seen(fashion_race.BOOKS), images)
  assert not np.array_equal(seen("ResNet-8"), images)
