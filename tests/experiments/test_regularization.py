"""Regularisation: dropout's two forms, decay, and the traps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.regularization import (
  augmentation,
  dropout,
  ensembles,
  noise_is_tikhonov,
  overfit,
  validation_and_folds,
  weight_decay,
  weight_decay_regression,
)
from research.analysis.cross_validation import cross_validation, fold_of
from research.config import replace
from research.optimizers import make_optimizer


def outputs(config, train, seeds=400):
  """Logits of a dropout net on one image, [seeds, classes], and its parameters."""
  net = dropout.model(config)
  x = jax.random.uniform(jax.random.key(1), (1, 8))
  variables = net.init(jax.random.key(0), x)

  def one(key):
    return net.apply(variables, x, train=train, rngs={"dropout": key})[0]

  return jax.vmap(one)(jax.random.split(jax.random.key(2), seeds)), variables, x


@pytest.mark.parametrize("form", dropout.FORMS)
def test_mean_while_training_is_the_value_at_test(form):
  # One hidden layer: behind it everything is linear, so that the means are equal but for sampling.
  config = dropout.Config(rate=0.3, form=form, hidden=(200,))
  while_training, _, _ = outputs(config, train=True)
  at_test, _, _ = outputs(config, train=False, seeds=1)
  error = jnp.abs(while_training.mean(axis=0) - at_test[0]).max() / jnp.abs(at_test).max()
  assert error < 0.06  # 0.03 expected of 400 draws; the trap below misses by 0.57
  rate_in_place_of_keep = at_test[0] * (0.3 / 0.7)
  wrong = jnp.abs(while_training.mean(axis=0) - rate_in_place_of_keep).max()
  assert wrong / jnp.abs(at_test).max() > 0.4


def test_classic_dropout_multiplies_by_one_minus_the_rate():
  classic = dropout.Config(rate=0.3, hidden=(20,))
  at_test, variables, x = outputs(classic, train=False, seeds=1)
  first, second = (variables["params"][name]["kernel"] for name in ("Dense_0", "Dense_1"))
  np.testing.assert_allclose(at_test[0], (0.7 * jax.nn.relu(x @ first) @ second)[0], rtol=1e-5)
  inverted, _, _ = outputs(replace(classic, {"form": "inverted"}), train=False, seeds=1)
  np.testing.assert_allclose(at_test, 0.7 * inverted, rtol=1e-5)
  while_training, _, _ = outputs(classic, train=True, seeds=50)
  inverted, _, _ = outputs(replace(classic, {"form": "inverted"}), train=True, seeds=50)
  np.testing.assert_allclose(while_training, 0.7 * inverted, rtol=1e-4, atol=1e-6)


def test_dropout_keeps_the_mean_and_not_the_variance():
  mean, variance = dropout.moments(0.2, jax.random.key(0))
  assert mean == pytest.approx(1, abs=0.01)
  assert variance == pytest.approx(1.5, abs=0.02)


def test_rates_and_decays_are_one_program():
  batch = {"image": jnp.full((2, 28, 28, 1), 255, jnp.uint8), "label": jnp.zeros(2, jnp.int32)}
  for experiment, change in (
    (dropout, {"rate": 0.0}),
    (weight_decay, {"optimizer.weight_decay": 0.0}),
  ):
    config = experiment.Config(hidden=(50,))
    learner, traces = experiment.training(config, 0).learner, []

    def step(config, state, batch, learner=learner, traces=traces):
      traces.append(1)
      return learner.step(config, state, batch)

    program = jax.jit(step)
    state = jax.jit(learner.init)(config, jax.random.key(0))
    results = [program(c, state, batch)[0] for c in (config, replace(config, change))]
    assert len(traces) == 1
    kernels = [result.params["Dense_0"]["kernel"] for result in results]
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 0


def test_decay_is_the_gradient_of_the_penalty_on_weights_only():
  config = weight_decay.Config()
  params = {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}
  rule = make_optimizer(config.optimizer, 1)
  updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
  np.testing.assert_allclose(updates["kernel"], -0.01 * 0.1 * 3, rtol=1e-5)
  assert not updates["bias"].any()


def test_decay_helps_the_regression_of_many_features():
  config = weight_decay_regression.Config(epochs=5)
  free, decayed = (
    weight_decay_regression.regress(config, decay, jax.random.key(0)) for decay in (0.0, 3.0)
  )
  assert decayed.validation[-1] < 0.8 * free.validation[-1]
  assert jnp.linalg.norm(decayed.w) < jnp.linalg.norm(free.w)


def test_the_overfitting_net_has_130010_parameters():
  config = overfit.Config()
  state = jax.eval_shape(overfit.training(config, 0).learner.init, config, jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 130_010


def test_noise_is_ridge_regression():
  with jax.enable_x64(True):
    config = noise_is_tikhonov.Config(examples=40, features=3)
    x, y = noise_is_tikhonov.draw(config, jax.random.key(0))
    noisy = noise_is_tikhonov.with_noise(x, y, 0.5, 1000, jax.random.key(1))
    assert noise_is_tikhonov.distance(noisy, noise_is_tikhonov.ridge(x, y, 40 * 0.25)) < 0.03
    assert noise_is_tikhonov.distance(noisy, noise_is_tikhonov.ridge(x, y, 0.25)) > 0.05
    once = noise_is_tikhonov.with_noise(x, y, 0.0, 3, jax.random.key(1))
    np.testing.assert_allclose(once, jnp.linalg.lstsq(x, y)[0], rtol=1e-9)


def test_folds_are_a_partition_and_their_fits_never_see_their_own_part():
  fold = fold_of(23, 5, jax.random.key(0))
  assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
  x = jax.random.normal(jax.random.key(1), (23, 2))
  y = x @ jnp.array([1.0, -2.0])
  clean = cross_validation(x, y, fold, 5)
  assert clean.max() < 1e-6
  spoiled = cross_validation(x, jnp.where(fold == 2, 50.0, y), fold, 5)
  # The spoiled part is judged by a fit on the others, so that nothing of it was learned.
  wrong = jnp.square(x @ jnp.array([1.0, -2.0]) - 50)
  np.testing.assert_allclose(spoiled[2], wrong[fold == 2].mean(), rtol=1e-4)
  assert spoiled[0] > 1


def test_features_chosen_before_the_folds_leak():
  config = validation_and_folds.Config(examples=60, many=300, draws=10)
  keys = jax.random.split(jax.random.key(0), 10)
  promised = jax.vmap(lambda key: validation_and_folds.leak(config, key))(keys)
  assert promised["before the folds"].mean() > 0.15
  assert promised["inside every fold"].mean() < 0


def test_augmentation_is_in_the_step_and_new_at_every_step():
  config = augmentation.Config(kind="crop", hidden=4)
  learner = augmentation.training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  image = jax.random.randint(jax.random.key(1), (6, 28, 28, 1), 0, 256).astype(jnp.uint8)
  batch = {"image": image, "label": jnp.arange(6)}
  step = jax.jit(learner.step)
  losses = [float(step(config, state._replace(step=at), batch)[1]["loss"]) for at in (0, 0, 1)]
  assert losses[0] == losses[1] != losses[2]
  without = ln.supervised_training(augmentation.model)(config, 0).learner
  plain = float(jax.jit(without.step)(config, state, batch)[1]["loss"])
  none = replace(config, {"kind": "none"})
  assert float(step(none, state, batch)[1]["loss"]) == pytest.approx(plain, rel=1e-6)


def test_a_vote_is_won_by_the_most_and_ties_go_to_the_smallest_class():
  guesses = np.array([[1, 7, 2], [1, 3, 4], [5, 3, 0]])
  np.testing.assert_array_equal(ensembles.vote(guesses), [1, 3, 0])


def test_the_mean_of_thinned_nets_comes_close_to_the_scaled_net():
  config = ensembles.Config(hidden=100, thinned=200, rate=0.3)
  state = jax.jit(ensembles.training(config, 0).learner.init)(config, jax.random.key(0))
  x = 0.3 * jax.random.uniform(jax.random.key(1), (4, 28, 28, 1))
  means = ensembles.means_of_thinned(config, state, x, jax.random.key(2))
  whole = ensembles.scaled(config, state, x)
  error = jnp.abs(means - whole[None]).max(axis=(1, 2))
  assert error[-1] < 0.03 and error[-1] < error[0] / 2
