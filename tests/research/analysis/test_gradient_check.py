"""The gradient check needs only the contract, and finds mistakes that jax.grad cannot see."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.backprop import two_layer_net
from research.analysis.gradient_check import (
  GREAT,
  WRONG,
  Difference,
  check_gradient,
  compare,
  plain_gradient_descent,
  verdict,
  worst,
)
from research.config import flatten, nested, pytree_config, static, traced
from research.errors import UserError
from research.initializers import Init
from research.learner import Learner
from research.optimizers import Optimizer
from tests.fixtures.noisy_net import LEARNER, Config, data_set


def raw(tree):
  return jax.tree.map(
    lambda a: jax.random.key_data(a) if a.dtype == jax.random.key(0).dtype else a, tree
  )


def two_layers(activation):
  step = functools.partial(two_layer_net.step, activation)
  learner = Learner(two_layer_net.init, step, two_layer_net.evaluate)
  settings = two_layer_net.Config(dataset="digits", hidden=6, init=Init("normal", 0.3))
  rng = np.random.default_rng(0)
  batch = {
    "image": jnp.asarray(rng.integers(0, 256, (3, 8, 8, 1)), jnp.uint8),
    "label": jnp.array([1, 2, 3]),
  }
  state = two_layer_net.init(settings, jax.random.key(0))
  return check_gradient(learner, settings, state, batch, coordinates=40)


@functools.cache
def of_convolution_normalisation_and_dropout():
  settings = Config(dropout=0.3)
  state = LEARNER.init(settings, jax.random.key(0))._replace(step=jnp.int32(5))
  before = raw(state)
  batch = {name: array[:5] for name, array in data_set().items()}
  found = check_gradient(LEARNER, settings, state, batch, coordinates=30)
  jax.tree.map(np.testing.assert_array_equal, raw(state), before)
  return found


def test_a_supervised_learner_passes_in_training_mode_under_its_own_adam():
  found = of_convolution_normalisation_and_dropout()
  assert worst(found).relative_norm < GREAT, found
  assert {name for name, _, _ in found} == {
    "BatchNorm_0/bias",
    "BatchNorm_0/scale",
    "Conv_0/kernel",
    "Dense_0/bias",
    "Dense_0/kernel",
  }


@pytest.mark.parametrize("name", two_layer_net.ACTIVATIONS)
def test_a_gradient_written_by_hand_passes(name):
  found = two_layers(two_layer_net.ACTIVATIONS[name])
  assert worst(found).relative_norm < GREAT, found


def test_a_slope_that_is_one_percent_off_fails_and_is_named():
  right = two_layer_net.ACTIVATIONS["sigmoid"]
  found = two_layers(right._replace(slope=lambda h: right.slope(h) * 1.01))
  assert {name for name, _, relative in found if relative > WRONG} == {"W1", "b1"}
  assert worst(found).name in ("W1", "b1")


def test_a_kink_beside_the_point_is_no_mistake():
  loss = lambda w: jnp.sum(jnp.abs(w) * jnp.arange(1.0, 4.0))
  near_the_kink = jnp.array([3e-6, -2.0, 1.0])
  (found,) = compare(loss, jax.grad(loss), near_the_kink)
  assert found.relative_norm < GREAT
  (found,) = compare(loss, lambda w: 1.01 * jax.grad(loss)(w), near_the_kink)
  assert found.relative_norm > WRONG


def test_a_parameter_without_influence_is_equal_and_not_noise():
  loss = lambda p: 2.3 + jnp.sum(p["used"] ** 2) + 0 * jnp.sum(p["idle"])
  params = {"used": jnp.ones(3), "idle": jnp.ones(2)}
  found = {d.name: d for d in compare(loss, jax.grad(loss), params)}
  assert found["idle"].relative_norm == 0 and found["used"].relative_norm < GREAT
  forgets = lambda p: {"used": jnp.zeros(3), "idle": jnp.zeros(2)}
  assert {d.name: d.relative_norm for d in compare(loss, forgets, params)}["used"] == 1


def test_rounding_of_nothing_is_no_mistake_and_a_small_mistake_is_one():
  loss = lambda p: 2.3 + jnp.sum(p["used"] ** 2) + 0 * jnp.sum(p["idle"])
  params = {"used": jnp.ones(3), "idle": jnp.ones(2)}
  off = lambda by: lambda p: jax.grad(loss)(p) | {"idle": jnp.full(2, by)}
  of_idle = lambda by: {d.name: d.relative_norm for d in compare(loss, off(by), params)}["idle"]
  assert of_idle(3e-9) == 0  # as of a bias before batch normalisation, in float64
  assert of_idle(1e-5) == pytest.approx(1)
  assert np.isnan(of_idle(np.nan))


def test_the_two_measures_are_the_books_and_ngs():
  loss = lambda w: jnp.sum(w * jnp.array([3.0, 4.0]))
  (found,) = compare(loss, lambda w: jnp.array([3.0, 2.0]), jnp.ones(2))
  assert found.mean_absolute == pytest.approx(1, rel=1e-6)
  assert found.relative_norm == pytest.approx(2 / (5 + 13**0.5), rel=1e-6)


def test_not_a_number_is_the_worst():
  nan = Difference("b", np.nan, np.nan)
  assert worst([Difference("a", 1.0, 1.0), nan]) is nan
  assert [verdict(x) for x in (1e-8, 1e-6, 1e-4, 1e-2, np.nan)] == [
    "great",
    "good",
    "look at it again",
    "wrong",
    "wrong",
  ]


def test_a_config_without_a_rate_is_refused_in_one_line():
  @pytree_config
  class Bare:
    width: int = static(3, "units")

  with pytest.raises(UserError, match="learning_rate"):
    check_gradient(LEARNER, Bare(), None, {})


def test_a_model_that_reuses_parameters_is_checked_as_a_whole():
  class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
      layer = nn.Dense(3)
      return layer(jnp.tanh(layer(x)))

  x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)))
  params = Twice().init(jax.random.key(0), x)
  loss = lambda p: jnp.sum(Twice().apply(p, x) ** 2)
  assert worst(compare(loss, jax.grad(loss), params)).relative_norm < GREAT


@pytree_config
class Deep:
  optimizer: Optimizer = nested(Optimizer("adam", 0.1, "linear", weight_decay=0.1))
  clip: float = traced(1.0, "bound of the gradient", at_least=0)
  dropout: float = traced(0.3, "share", at_least=0, at_most=1)


@pytree_config
class Deeper:
  settings: Deep = nested(Deep())
  own: Optimizer = nested(Optimizer("momentum", 0.2))


@pytree_config
class Rateless:
  of_optimizer: int = static(1, "whatever")


def test_update_rules_are_replaced_however_deep_they_are_nested():
  plain = flatten(plain_gradient_descent(Deeper()))
  changed = {name: value for name, value in plain.items() if value != flatten(Deeper())[name]}
  assert changed == {
    "settings.optimizer.name": "sgd",
    "settings.optimizer.learning_rate": 1.0,
    "settings.optimizer.schedule": "constant",
    "settings.optimizer.weight_decay": 0.0,
    "settings.clip": 1e9,
    "own.learning_rate": 1.0,
  }
  assert flatten(plain_gradient_descent(Deep()))["optimizer.name"] == "sgd"
  with pytest.raises(UserError, match="this config has neither"):
    plain_gradient_descent(Rateless())
