import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from research.batch import take
from research.data import sampling

KEY = jax.random.key(3)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 64, 100, 1009])
def test_shuffled_is_a_permutation(size):
  order = jax.jit(sampling.shuffled, static_argnums=2)(KEY, jnp.arange(size), size)
  assert sorted(np.asarray(order).tolist()) == list(range(size))


def test_shuffled_depends_on_the_key_and_on_nothing_else():
  whole = sampling.shuffled(KEY, jnp.arange(500), 500)
  part = sampling.shuffled(KEY, jnp.arange(100, 120), 500)
  np.testing.assert_array_equal(whole[100:120], part)
  other = sampling.shuffled(jax.random.key(4), jnp.arange(500), 500)
  assert np.mean(np.asarray(whole) == np.asarray(other)) < 0.02


def test_shuffled_looks_like_a_fair_shuffle():
  """Over many keys each place holds each value equally often, and neighbours are independent."""
  size, keys = 12, jax.random.split(jax.random.key(0), 6000)
  orders = np.asarray(jax.vmap(lambda key: sampling.shuffled(key, jnp.arange(size), size))(keys))
  expected = len(keys) / size
  counts = np.stack([np.bincount(orders[:, place], minlength=size) for place in range(size)])
  chi_square = np.sum(np.square(counts - expected) / expected)
  freedom = (size - 1) ** 2
  assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)
  ascents = np.mean(orders[:, 1:] > orders[:, :-1])
  assert abs(ascents - 0.5) < 0.01


def test_the_orders_of_a_large_range_stay_what_they_were():
  """The batches of every measured run are made of them."""
  first = sampling.shuffled(KEY, jnp.arange(20), 1437)
  assert first.tolist() == [
    *(955, 1013, 173, 800, 215, 1198, 219, 1213, 1246, 690),
    *(597, 424, 1401, 1031, 996, 959, 1048, 404, 227, 1282),
  ]


def orders_of(size, count):
  """Permutations of range(size), one for each of `count` keys, as int [count, size]."""
  keys = jax.random.split(jax.random.key(0), count)
  return np.asarray(jax.vmap(lambda key: sampling.shuffled(key, jnp.arange(size), size))(keys))


def unevenness(cells, kinds):
  """The chance that even cells are at least as uneven as these, by Pearson's chi-square."""
  counts = np.bincount(np.unique(cells, return_inverse=True)[1], minlength=kinds)
  expected = len(cells) / kinds
  return chi2.sf(np.sum(np.square(counts - expected)) / expected, kinds - 1)


@pytest.mark.parametrize("size", range(2, 9))
def test_every_order_of_a_few_is_equally_likely(size):
  orders = orders_of(size, 100_000)
  shown = min(size, 6)  # the first places, so that each of their orders is seen often enough
  codes = orders[:, :shown] @ size ** np.arange(shown)
  assert unevenness(codes, math.perm(size, shown)) > 1e-3


@functools.cache
def indices_of(batch_size, examples, batches):
  """The example numbers of the first batches of `by_epoch`, for a seed; one compiled program."""
  numbers = jnp.arange(batches * batch_size).reshape(batches, batch_size)
  draw = sampling.by_epoch(batch_size).indices
  return jax.jit(
    lambda seed: jax.vmap(lambda ask: draw(jax.random.key(seed), examples, ask))(numbers)
  )


@settings(max_examples=40)
@given(
  seed=st.integers(0, 2**32 - 1),
  shape=st.sampled_from([(3, 1), (7, 16), (4, 17), (50, 101)]),
)
def test_an_epoch_holds_every_example_once_for_any_seed(seed, shape):
  batch_size, examples = shape
  batches = -(-3 * examples // batch_size)
  drawn = np.asarray(indices_of(batch_size, examples, batches)(np.uint32(seed))).ravel()
  epochs = drawn[: 3 * examples].reshape(3, examples)
  assert (np.sort(epochs, axis=1) == np.arange(examples)).all()


@pytest.mark.parametrize("batch_size, examples", [(10, 30), (7, 30), (40, 30), (90, 30)])
def test_every_epoch_holds_every_example_once(batch_size, examples):
  sampler, epochs = sampling.by_epoch(batch_size), 6
  data = {"number": jnp.arange(examples)}
  steps = -(-epochs * examples // batch_size)
  batch_at = jax.jit(
    lambda step: sampling.batch_at(sampler, data, KEY, step, jnp.arange(batch_size), padded=False)[
      "number"
    ]
  )
  seen = np.concatenate([np.asarray(batch_at(jnp.int32(step))) for step in range(steps)])
  orders = seen[: epochs * examples].reshape(epochs, examples)
  assert (np.sort(orders, axis=1) == np.arange(examples)).all()
  assert len({order.tobytes() for order in orders}) == epochs


@pytest.mark.parametrize(
  "sampler", [sampling.by_epoch(10), sampling.with_replacement(10), sampling.balanced(10)]
)
def test_a_share_of_a_batch_is_that_share_and_padding_weighs_nothing(sampler):
  data = {"number": jnp.arange(33), "label": jnp.arange(33) % 7}
  ask = lambda positions, padded: sampling.batch_at(
    sampler, data, KEY, jnp.int32(5), positions, padded=padded
  )
  whole = ask(jnp.arange(10), False)
  padded = ask(jnp.arange(12), True)
  share = ask(jnp.arange(6, 12), True)
  np.testing.assert_array_equal(padded["number"][:10], whole["number"])
  np.testing.assert_array_equal(padded["weight"], [1] * 10 + [0] * 2)
  np.testing.assert_array_equal(share["number"], padded["number"][6:])
  np.testing.assert_array_equal(share["weight"], padded["weight"][6:])


def test_with_replacement_repeats_examples_and_is_fair():
  sampler = sampling.with_replacement(100)
  draws = np.asarray(sampler.indices(KEY, 50, jnp.arange(50_000)))
  counts = np.bincount(draws, minlength=50)
  assert draws.min() == 0 and draws.max() == 49
  assert np.sum(np.square(counts - 1000) / 1000) < 49 + 5 * np.sqrt(98)
  assert len(set(draws[:100].tolist())) < 100


def test_a_quarter_of_every_batch_are_objects():
  label = jnp.array([0, 3, 0, 1, 0, 0, 2, 0])
  sampler = sampling.with_background(400)
  numbers = jnp.arange(400, 1200)
  drawn = np.asarray(jax.jit(sampler.indices)(KEY, sampler.facts({"label": label}), numbers))
  is_object = np.asarray(label)[drawn] > 0
  np.testing.assert_array_equal(is_object, np.arange(800) % 400 < 100)
  counts = np.bincount(drawn, minlength=8)
  assert counts[[1, 3, 6]].min() > 40 and counts[[0, 2, 4, 5, 7]].min() > 80
  assert np.mean(drawn[:400] == drawn[400:]) < 0.5


def test_balanced_draws_classes_alike_and_the_examples_of_a_class_alike():
  label = jnp.array([4, 0, 0, 0, 0, 0, 4, 0, 2])  # no example of classes 1 and 3
  sampler = sampling.balanced(100)
  draws = np.asarray(sampler.indices(KEY, sampler.facts({"label": label}), jnp.arange(9000)))
  for number, examples in ((0, 6), (2, 1), (4, 2)):
    counts = np.bincount(draws, minlength=9)[np.asarray(label) == number]
    assert len(counts) == examples
    assert abs(counts.sum() - 3000) < 4 * np.sqrt(9000 * 2 / 9)
    assert np.sum(np.square(counts - 3000 / examples) / (3000 / examples)) < 5 + 5 * np.sqrt(10)


def test_an_evaluation_batch_is_in_order_and_padded_at_the_end():
  data = {"number": jnp.arange(10)}
  last = sampling.evaluation_batch(data, 2, jnp.arange(4), 4, 10)
  np.testing.assert_array_equal(last["number"], [8, 9, 9, 9])
  np.testing.assert_array_equal(last["weight"], [1, 1, 0, 0])
  np.testing.assert_array_equal(take(data, jnp.array([3, 3]))["number"], [3, 3])


def test_a_learner_that_makes_its_own_experience_gets_empty_batches():
  sampler = sampling.without_data()
  assert sampling.batch_at(sampler, {}, KEY, jnp.int32(5), jnp.arange(1), padded=True) == {}


@pytest.mark.parametrize(
  "make",
  [
    lambda: sampling.by_epoch(4),
    lambda: sampling.with_replacement(4),
    lambda: sampling.balanced(4),
    lambda: sampling.with_background(4),
    lambda: sampling.in_order(4),
    lambda: sampling.in_blocks(4),
    sampling.without_data,
  ],
)
def test_samplers_made_alike_are_equal_so_that_members_of_a_race_share_a_program(make):
  assert make() == make()


@pytest.mark.parametrize("examples", [12, 14])
def test_blocks_are_neighbours_and_together_an_epoch(examples):
  sampler, size, blocks = sampling.in_blocks(4), 4, -(-examples // 4)
  epochs = []
  for epoch in range(4):
    batches = [
      np.asarray(sampler.indices(KEY, examples, (epoch * blocks + block) * size + jnp.arange(size)))
      for block in range(blocks)
    ]
    assert all(((batch[1:] - batch[:-1]) % examples == 1).all() for batch in batches)
    assert set(np.concatenate(batches)) == set(range(examples))
    epochs.append(np.concatenate(batches).tobytes())
  assert len(set(epochs)) == 4
  share = sampler.indices(KEY, examples, 4 * 5 + jnp.arange(2, 4))
  np.testing.assert_array_equal(share, sampler.indices(KEY, examples, 4 * 5 + jnp.arange(4))[2:])
