"""The sequence experiments at tiny sizes: what they measure, and that they run through a lab."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.sequences import (
  attention_lessons,
  backprop_through_time,
  dates,
  long_lag,
  reversal,
)
from research.config import replace
from research.data import tasks
from research.optimizers import Optimizer
from tests.experiments.without_a_lab import FakeLab, failed


def test_back_propagation_through_time_is_jaxs_gradient():
  config = backprop_through_time.Config(vocabulary=4, hidden=5, times=6)
  with jax.enable_x64(True):
    params = backprop_through_time.init(config, jax.random.key(0))
    params = jax.tree.map(lambda w: w + 0.3, params)
    letters = jax.nn.one_hot(jnp.array([[0, 1], [2, 3], [1, 1], [3, 0], [2, 2]]), 4, dtype=float)
    by_hand = backprop_through_time.back_propagate(params, letters[:-1], letters[1:])
    by_jax = jax.grad(backprop_through_time.loss)(params, letters[:-1], letters[1:])
    for name in by_jax:
      np.testing.assert_allclose(by_hand[name], by_jax[name], rtol=1e-10, atol=1e-14)
    assert backprop_through_time.distance_of_lstm_forms(jax.random.key(1), times=5) < 1e-12


def test_clipping_bounds_the_updates():
  config = backprop_through_time.Config(hidden=8, times=6, batch=4, updates=2, theta=1e-3)
  text = backprop_through_time.generated_text(config, 0, 200)
  start = backprop_through_time.init(config, jax.random.key(0))
  clipped, _ = backprop_through_time.train(config, start, text, is_clipped=True)
  free, lengths = backprop_through_time.train(config, start, text, is_clipped=False)
  assert float(clipped[0]) == float(free[0]) and float(lengths[0]) > 0.01
  assert abs(float(clipped[1] - free[1])) > 1e-3


def test_the_generated_text_offers_two_letters_everywhere():
  config = backprop_through_time.Config(vocabulary=3)
  text = np.asarray(backprop_through_time.generated_text(config, 0, 2000))
  followers = {}
  for a, b, c in zip(text, text[1:], text[2:], strict=False):
    followers.setdefault((a, b), set()).add(c)
  assert max(map(len, followers.values())) == 2


def test_attention_lessons():
  assert not failed(attention_lessons.run(attention_lessons.Config(dimension=64), FakeLab()))


def test_a_reversed_map_is_the_alignment_and_a_straight_one_is_not():
  mirror = np.eye(6)[None, ::-1]
  assert reversal.alignment(mirror, 6) == 1
  assert reversal.alignment(np.eye(6)[None], 6) == 0


@pytest.mark.parametrize("module", [reversal, dates])
def test_all_nets_of_an_experiment_take_its_batches(module):
  config = module.Config(embedding=4, hidden=8, features=8, optimizer=Optimizer("sgd", 0.1))
  if module is reversal:
    config = replace(config, {"longest": 6})
    data = tasks.reversal(4, 0, (1, 6), longest=6)
  else:
    data, _ = tasks.dates(4, 0)
  for learner in module.LEARNERS.values():
    state = jax.eval_shape(learner.init, config, jax.random.key(0))
    moved, metrics = jax.eval_shape(learner.step, config, state, data)
    assert set(metrics) == {"loss", "exact", "accuracy"}
    assert jax.tree.structure(moved) == jax.tree.structure(state)


def test_the_long_lags_net_learns_a_short_one():
  config = long_lag.Config(hidden=16, symbols=2, optimizer=Optimizer("adam", 0.02))
  data = tasks.long_lag(256, 0, 2, symbols=2)
  learner = long_lag.learner("rnn", 2)
  state = jax.jit(learner.init)(config, jax.random.key(0))
  step = jax.jit(learner.step)
  for _ in range(60):
    state, metrics = step(config, state, data)
  assert float(metrics["accuracy"]) == 1
