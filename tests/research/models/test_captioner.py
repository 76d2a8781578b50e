import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models import decoding
from research.models.captioner import Captioner

IMAGES = jax.random.uniform(jax.random.key(0), (3, 16, 16, 3))
TOKENS = jnp.array([[1, 4, 5, 6], [1, 7, 8, 9], [1, 4, 4, 4]])


@pytest.fixture(scope="module")
def seeing():
  model = Captioner(12, 6, 5, features=7)
  return model, jax.jit(model.init)(jax.random.key(1), (IMAGES, TOKENS))


def test_sentences_continue_as_their_logits_say(seeing):
  """What is written one by one agrees with all places at once."""
  model, variables = seeing
  at_once = model.apply(variables, (IMAGES, TOKENS))
  carry = model.apply(variables, IMAGES, 4, method="start")
  for place in range(4):
    logits, carry = model.apply(variables, carry, TOKENS[:, place], method="next")
    np.testing.assert_allclose(logits, at_once[:, place], atol=1e-6)


def test_the_image_is_seen_once_before_the_first_word(seeing):
  model, variables = seeing
  before = model.apply(variables, (IMAGES, TOKENS))
  after = model.apply(variables, (IMAGES[::-1], TOKENS))
  assert bool((before[0] != after[0]).any()) and bool((before[1] == after[1]).all())
  carry = model.apply(variables, IMAGES, method="read")
  swapped = jax.tree.map(lambda leaf: leaf[::-1], carry)
  step = lambda carry: model.apply(variables, carry, TOKENS[:, 0], method="next")[0]
  np.testing.assert_array_equal(step(swapped)[1], step(carry)[1])
  assert bool((step(swapped)[2] != step(carry)[2]).any())


def test_a_blind_one_is_a_language_model():
  model = Captioner(12, 6, 5, is_blind=True)
  variables = jax.jit(model.init)(jax.random.key(1), (IMAGES, TOKENS))
  assert not any("Conv" in str(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables))
  rows = decoding.sampled(model, variables, np.zeros((400, 1, 1, 3)), 3, jax.random.key(2))
  assert rows.shape == (400, 3)
  first = np.asarray(jax.nn.softmax(model.apply(variables, (IMAGES, TOKENS))[0, 0]))
  shares = np.bincount(rows[:, 0], minlength=12) / 400
  np.testing.assert_allclose(shares, first, atol=0.08)
