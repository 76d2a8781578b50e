"""Equivalence of populations: a lane's numbers are those of the plain step, whoever is beside it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import compile as compiling
from research.data import sampling
from research.lanes import compile_population, lane, pad, stack
from research.optimizers import Optimizer
from tests.fixtures.equivalence import raw
from tests.fixtures.noisy_net import LEARNER, STEPS, Config, data_set

SAMPLER = sampling.by_epoch(20)
RATES = (0.02, 0.05, 0.005)
TOLERANCE = 1e-5  # vmap batches the products of its lanes, in another order


@functools.cache
def compiled(lanes, block):
  return compile_population(LEARNER, SAMPLER, 16, lanes, block)


def settings(rate):
  config = Config(optimizer=Optimizer(learning_rate=rate))
  return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), config)


def keys(number):
  return jax.random.split(jax.random.key(7), 4)[number], jax.random.split(jax.random.key(8), 4)[
    number
  ]


@functools.cache
def alone(rate, number):
  """The same trial by itself: its state, metrics and evaluation."""
  program = compiling.compile_learner(LEARNER, SAMPLER, 16)
  init_key, order_key = keys(number)
  state = jax.jit(LEARNER.init)(settings(rate), init_key)
  state, metrics = program.steps(STEPS, settings(rate), state, data_set(), order_key, 0)
  return raw(state), raw(metrics), raw(program.evaluate(settings(rate), state, data_set()))


def population(rates, numbers, block, active=None):
  """Trains all lanes together; returns one (state, metrics, evaluation) for each."""
  program = compiled(len(rates), block)
  configs = program.place(pad(stack([settings(rate) for rate in rates]), program.width))
  init_keys, order_keys = (
    program.place(pad(stack(column), program.width))
    for column in zip(*map(keys, numbers), strict=True)
  )
  active = jnp.arange(program.width) < len(rates) if active is None else active
  data = program.share(data_set())
  states = program.init(active, configs, init_keys)
  first = program.place(jnp.zeros(program.width, jnp.int32))
  states, metrics = program.steps(STEPS, active, configs, states, data, order_keys, first)
  means = program.evaluate(active, configs, states, data)
  return [raw(lane((states, metrics, means), number)) for number in range(len(rates))]


def assert_bits_equal(ours, expected):
  jax.tree.map(np.testing.assert_array_equal, ours, expected)


@pytest.mark.parametrize("block, tolerance", [(1, 0), (2, TOLERANCE), (3, TOLERANCE)])
def test_a_lane_gives_the_numbers_of_the_trial_alone(block, tolerance):
  trials = population(RATES, (0, 1, 2), block)
  for number, (rate, ours) in enumerate(zip(RATES, trials, strict=True)):
    expected = alone(rate, number)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance),
      ours[0],
      expected[0],
    )
    # The reported means are fused with what surrounds them.
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=TOLERANCE), ours[1:], expected[1:]
    )


@pytest.mark.parametrize("block", [1, 2])
def test_neighbours_and_places_change_no_bit(block):
  trials = population(RATES, (0, 1, 2), block)
  others = population((0.1, 0.005, 0.02), (3, 2, 0), block)
  assert_bits_equal(others[1], trials[2])
  assert_bits_equal(others[2], trials[0])


@pytest.mark.parametrize("block", [1, 2, 3])
def test_a_diverged_lane_disturbs_no_bit_of_its_neighbours(block):
  trials = population(RATES, (0, 1, 2), block)
  beside = population((RATES[0], jnp.nan, RATES[2]), (0, 1, 2), block)
  assert not np.isfinite(beside[1][1]["loss"][-1])
  assert_bits_equal(beside[0], trials[0])
  assert_bits_equal(beside[2], trials[2])


@pytest.mark.parametrize("block", [1, 2, 3])
def test_lanes_that_are_not_active_keep_their_state(block):
  program = compiled(3, block)
  active = jnp.arange(program.width) == 1
  trials = population(RATES, (0, 1, 2), block, active=active)
  whole = population(RATES, (0, 1, 2), block)
  assert_bits_equal(trials[1], whole[1])
  assert int(trials[0][0].step) == int(trials[2][0].step) == 0
  assert not trials[0][1]["loss"].any()


def test_the_number_of_lanes_changes_no_bit_where_a_block_is_one_lane():
  assert_bits_equal(population(RATES[:1], (0,), 1)[0], population(RATES, (0, 1, 2), 1)[0])


def test_lanes_may_stand_at_different_steps():
  program = compiled(3, 1)
  place = lambda *trees: program.place(pad(stack(trees), program.width))
  (init_key, order_key), data = keys(0), program.share(data_set())
  configs, order_keys = place(settings(0.02)), place(order_key)
  everyone, second = jnp.ones(program.width, bool), jnp.arange(program.width) == 1
  states = program.init(everyone, configs, place(init_key))
  at = lambda *steps: place(*map(jnp.int32, steps))
  states, _ = program.steps(3, second, configs, states, data, order_keys, at(0))
  states, metrics = program.steps(4, everyone, configs, states, data, order_keys, at(0, 3, 0))
  assert_bits_equal(raw(lane(states, 1).params), alone(0.02, 0)[0].params)
  np.testing.assert_allclose(metrics["loss"][1], alone(0.02, 0)[1]["loss"][3:], rtol=1e-6)
