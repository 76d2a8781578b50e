import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.learner import TrainState
from research.learner_transforms import with_module
from research.models import decoding
from research.models.captioner import (
  Captioner,
  Encoder,
  Named,
  ObjectNet,
  object_accuracy,
  object_loss,
)

IMAGES = jax.random.uniform(jax.random.key(0), (3, 32, 32, 3))
TOKENS = jnp.array([[1, 4, 5, 6], [1, 7, 8, 9], [1, 4, 4, 4]])


@pytest.fixture(scope="module")
def seeing():
  model = Captioner(12, 6, 5)
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


def test_an_object_is_seen_in_its_quarter():
  blank = jnp.zeros((1, 96, 96, 3))
  lower_left = blank.at[:, 68:76, 20:28].set(IMAGES[:1, :8, :8])
  variables = jax.jit(Encoder().init)(jax.random.key(3), blank)
  before, after = (Encoder().apply(variables, image)[0] for image in (blank, lower_left))
  assert before.shape == (4, 128)
  changed = np.asarray((before != after).any(axis=1))
  np.testing.assert_array_equal(changed, [False, False, True, False])


def test_object_and_colour_both_have_to_be_right():
  """Of the quarters with an object; where there is none only its absence counts in the loss."""
  batch = {"noun": jnp.array([[0, 1, 2, 2]]), "hue": jnp.array([[0, 0, 1, 0]])}
  certain = lambda classes, size: 9 * jax.nn.one_hot(jnp.array([classes]), size)
  right = Named(certain([0, 1, 2, 2], 3), certain([1, 0, 1, 0], 2))
  wrong = Named(certain([0, 1, 1, 2], 3), certain([0, 0, 1, 1], 2))
  assert float(object_accuracy(right, batch)[0]) == 1 and float(object_loss(right, batch)[0]) < 0.01
  assert float(object_accuracy(wrong, batch)[0]) == pytest.approx(1 / 3)
  assert float(object_loss(wrong, batch)[0]) == pytest.approx(18, abs=0.1)


def test_a_captioner_begins_with_the_convnet_that_knows_objects(seeing):
  model, variables = seeing
  net = ObjectNet(3, 2)
  other = jax.jit(net.init)(jax.random.key(7), IMAGES)
  state = lambda tree: TrainState(0, None, tree["params"], {"batch_stats": tree["batch_stats"]}, ())
  begun = with_module(state(variables), state(other), "encoder")
  changed = {"params": begun.params, **begun.variables}
  features = Encoder().apply({kind: tree["encoder"] for kind, tree in other.items()}, IMAGES)
  own = lambda tree: Encoder().apply({kind: each["encoder"] for kind, each in tree.items()}, IMAGES)
  np.testing.assert_array_equal(own(changed), features)
  assert bool((own(variables) != features).any())
  assert changed["params"]["embed"] is variables["params"]["embed"]
  assert model.apply(changed, (IMAGES, TOKENS)).shape == (3, 4, 12)
