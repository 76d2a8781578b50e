"""The reader of several digits: its loss and its transcription against sums over all strings."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.models import digit_reader
from research.models.digit_reader import Reading

pytestmark = pytest.mark.fast

PLACES, DIGITS = 3, 4
STRINGS = [
  string
  for length in range(1, PLACES + 1)
  for string in itertools.product(range(DIGITS), repeat=length)
]
transcribe = jax.jit(digit_reader.transcribe)
numbers = st.floats(-4, 4, width=32)
readings = st.tuples(
  st.lists(numbers, min_size=PLACES, max_size=PLACES),
  st.lists(numbers, min_size=PLACES * DIGITS, max_size=PLACES * DIGITS),
).map(lambda drawn: (np.array(drawn[0]), np.array(drawn[1]).reshape(PLACES, DIGITS)))


def log_softmax(values):
  return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def log_probabilities(length, digits):
  """log P(S | X) of all strings, each as the paper writes it."""
  lengths, places = log_softmax(length), log_softmax(digits)
  return np.array(
    [lengths[len(s) - 1] + sum(places[i, digit] for i, digit in enumerate(s)) for s in STRINGS]
  )


def padded(string):
  return np.array([*string, *[-1] * (PLACES - len(string))])


@given(readings)
def test_the_transcription_is_the_most_probable_of_all_strings(drawn):
  found = transcribe(Reading(*(jnp.asarray(x, float)[None] for x in drawn)))
  of_all = log_probabilities(*drawn)
  assert found.log_probability[0] == pytest.approx(of_all.max(), abs=1e-4)
  string = tuple(int(digit) for digit in found.digits[0] if digit >= 0)
  assert of_all[STRINGS.index(string)] == pytest.approx(of_all.max(), abs=1e-4)
  np.testing.assert_array_equal(found.digits[0], padded(string))


@pytest.fixture(scope="module")
def drawn():
  rng = np.random.default_rng(0)
  return rng.normal(size=PLACES), rng.normal(size=(PLACES, DIGITS))


def test_the_loss_is_that_of_the_string_and_all_strings_make_one(drawn):
  reading = Reading(*(jnp.asarray(np.repeat(x[None], len(STRINGS), axis=0)) for x in drawn))
  batch = {
    "length": jnp.array([len(s) for s in STRINGS]),
    "digits": jnp.array([padded(s) for s in STRINGS]),
  }
  losses = jax.jit(digit_reader.string_loss)(reading, batch)
  np.testing.assert_allclose(-losses, log_probabilities(*drawn), rtol=1e-5)
  assert np.exp(-losses).sum() == pytest.approx(1, rel=1e-5)


def test_places_behind_the_last_digit_get_no_gradient(drawn):
  batch = {"length": jnp.array([2]), "digits": jnp.array([[1, 0, -1]])}
  loss = lambda reading: digit_reader.string_loss(reading, batch).sum()
  slope = jax.jit(jax.grad(loss))(Reading(*(jnp.asarray(x)[None] for x in drawn)))
  used = np.abs(slope.digits[0]).sum(axis=1) > 0
  np.testing.assert_array_equal(used, [True, True, False])


def test_a_digit_counts_at_its_place_and_a_string_as_a_whole():
  digits = jnp.log(jnp.eye(DIGITS)[jnp.array([[1, 2, 0]] * 3)] + 0.01)
  length = jnp.log(jnp.eye(PLACES)[jnp.array([1, 1, 1])] + 0.01)  # all are read as "12"
  batch = {"digits": jnp.array([[1, 2, -1], [1, 2, 0], [3, 2, -1]])}
  reading = Reading(length, digits)
  np.testing.assert_array_equal(jax.jit(digit_reader.string_accuracy)(reading, batch), [1, 0, 0])
  mean = jax.jit(digit_reader.digit_accuracy)(reading, batch)
  np.testing.assert_array_equal(mean.total, [2, 2, 1])
  np.testing.assert_array_equal(mean.weight, [2, 3, 2])


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_depths_have_so_many_convolutions_and_outputs(depth):
  model = digit_reader.StringReader(depth, 8)
  images = jnp.zeros((2, 32, 96, 1))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  convolutions = [name for name in variables["params"]["trunk"] if name.startswith("Conv")]
  assert len(convolutions) == depth
  reading = jax.eval_shape(model.apply, variables, images)
  assert reading.length.shape == (2, 5) and reading.digits.shape == (2, 5, 10)
