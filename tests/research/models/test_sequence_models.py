"""Recurrent and attending models of sequences: what they may see, what they write, their sizes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.layers.positional import sinusoids
from research.losses import token_cross_entropy
from research.metrics import exact_match, token_accuracy
from research.models.decoding import Marks, beam, greedy, sample
from research.models.language_model import LanguageModel
from research.models.seq2seq import Seq2Seq
from research.models.transformer import Transformer

MARKS = Marks(1, 2)
MODELS = {
  "fixed context": Seq2Seq(11, 12, 4, 8, 2),
  "attention": Seq2Seq(11, 12, 4, 8, 1, "lstm", attention=True, bidirectional=True),
  "post-norm": Transformer(11, 12, 1, 8, 2, 16),
  "pre-norm": Transformer(11, 12, 2, 8, 2, 16, pre_norm=True),
}
SOURCE = jnp.array([[4, 5, 6, 7, 8], [9, 10, 3, 0, 0], [5, 5, 0, 0, 0]])
TARGET = jnp.array([[1, 4, 5, 6], [1, 7, 8, 2], [1, 9, 2, 0]])


@functools.cache
def made(name):
  model = MODELS[name]
  params = jax.jit(model.init)(jax.random.key(0), (SOURCE, TARGET))
  return jax.jit(lambda source, target: model.apply(params, (source, target))), params


@pytest.mark.parametrize("name", MODELS)
def test_no_token_looks_ahead(name):
  logits, _ = made(name)
  before, after = logits(SOURCE, TARGET), logits(SOURCE, TARGET.at[:, 2].set(3))
  np.testing.assert_array_equal(after[:, :2], before[:, :2])
  assert float(jnp.abs(after[:, 2:] - before[:, 2:]).max()) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_padding_of_the_source_changes_nothing(name):
  logits, _ = made(name)
  longer = jnp.pad(SOURCE, ((0, 0), (0, 3)))
  np.testing.assert_allclose(logits(longer, TARGET), logits(SOURCE, TARGET), atol=1e-5)
  other = logits(SOURCE.at[1, 3].set(4), TARGET)  # a token where there was padding does
  assert float(jnp.abs(other[1] - logits(SOURCE, TARGET)[1]).max()) > 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_step_by_step_gives_what_all_at_once_gives(name):
  logits, params = made(name)
  model = MODELS[name]
  memory = model.apply(params, SOURCE, 4, method="start")
  steps = []
  step = jax.jit(lambda memory, token: model.apply(params, memory, token, method="next"))
  for place in range(4):
    found, memory = step(memory, TARGET[:, place])
    steps.append(found)
  np.testing.assert_allclose(jnp.stack(steps, axis=1), logits(SOURCE, TARGET), atol=1e-5)


def test_padded_tokens_have_no_gradient_and_do_not_count():
  logits = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 12)), jnp.float32)
  loss = lambda logits: token_cross_entropy(logits, {"target": TARGET}).total.sum()
  gradient = jax.grad(loss)(logits)
  np.testing.assert_array_equal(gradient[2, 2], 0)
  assert float(jnp.abs(gradient[2, 1]).max()) > 0
  means = token_cross_entropy(logits, {"target": TARGET})
  np.testing.assert_array_equal(means.weight, [3, 3, 2])
  uniform = token_cross_entropy(jnp.zeros((3, 3, 12)), {"target": TARGET})
  assert float(jnp.exp(uniform.total.sum() / uniform.weight.sum())) == pytest.approx(12, rel=1e-5)
  soft = optax.smooth_labels(jax.nn.one_hot(TARGET[0, 1:], 12), 0.1)
  smoothed = token_cross_entropy(logits, {"target": TARGET}, 0.1)
  expected = optax.softmax_cross_entropy(logits[0], soft).sum()
  np.testing.assert_allclose(smoothed.total[0], expected, rtol=1e-6)
  right = 9 * jax.nn.one_hot(TARGET[:, 1:], 12)
  wrong = right.at[0, 1].set(0).at[2, 2].set(jnp.arange(12.0))  # the second is padding
  np.testing.assert_array_equal(exact_match(wrong, {"target": TARGET}), [0, 1, 1])
  found = token_accuracy(wrong, {"target": TARGET})
  np.testing.assert_array_equal(found.total, [2, 3, 2])
  np.testing.assert_array_equal(found.weight, [3, 3, 2])
  # A network that writes padding where there is padding is not right there.
  padding = jax.nn.one_hot(jnp.zeros((3, 3), int), 12)
  np.testing.assert_array_equal(token_accuracy(padding, {"target": TARGET}).total, [0, 0, 0])


def table_writer(seed):
  """A writer whose logits depend on the last two tokens; its memory is the last one."""
  table = jnp.asarray(np.random.default_rng(seed).normal(size=(5, 5, 5)) * 2, jnp.float32)
  table = table.at[..., 0].set(-1e9)  # nobody writes padding
  return lambda memory, token: (table[memory, token], token)


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_texts(seed):
  writer, length = table_writer(seed), 4

  def score(tokens):
    memory, last, total = jnp.array([0, 3]), jnp.array([1, 1]), np.zeros(2)
    for token in tokens:
      logits, memory = writer(memory, last)
      total += np.asarray(jax.nn.log_softmax(logits)[:, token])
      last = jnp.array([token, token])
    return total / len(tokens) ** 0.75

  texts = [
    (*body, *end)
    for size in range(length + 1)
    for body in itertools.product([1, 3, 4], repeat=size)
    for end in ([(2,)] if size < length else [()])
  ]
  found = beam(writer, jnp.array([0, 3]), 2, MARKS, length, 200)
  scores = np.stack([score(text) for text in texts])
  for row in range(2):
    best = int(np.argmax(scores[:, row]))
    assert tuple(t for t in np.asarray(found.tokens[row, 0]) if t) == texts[best]
    assert float(found.scores[row, 0]) == pytest.approx(scores[best, row], rel=1e-4)
  narrow = beam(writer, jnp.array([0, 3]), 2, MARKS, length, 1)
  np.testing.assert_array_equal(
    narrow.tokens[:, 0], greedy(writer, jnp.array([0, 3]), 2, MARKS, length)
  )


def test_a_row_that_ended_is_not_pushed_out_by_rows_that_only_begin_well():
  """After 3 nothing ends, and what follows is soon anyone's guess."""
  table = np.zeros((4, 9))
  table[0, [2, 3, 4]] = 0.28, 0.62, 0.1
  table[1, [3, 4]] = 0.5, 0.5
  table[2:, [1, *range(3, 9)]] = 1 / 7
  logits = jnp.asarray(np.log(table + 1e-30), jnp.float32)
  writer = lambda place, token: (jnp.tile(logits[place][None], (len(token), 1)), place + 1)
  found = beam(writer, jnp.int32(0), 1, MARKS, 4, 2)
  np.testing.assert_array_equal(found.tokens[0, 0], [2, 0, 0, 0])
  expected = [np.log(0.28), np.log(0.62 * 0.5 / 7**2) / 4**0.75]
  np.testing.assert_allclose(found.scores[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["attention", "pre-norm"])
def test_a_beam_takes_carries_and_cache_along(name):
  """A row's score is what all its tokens at once are worth; which is not so with another's past."""
  logits, params = made(name)
  length, width = 4, 5
  next_token = lambda memory, token: MODELS[name].apply(params, memory, token, method="next")
  memory = MODELS[name].apply(params, SOURCE, length, method="start")
  found = beam(next_token, memory, len(SOURCE), MARKS, length, width)
  for way in range(width):
    tokens = found.tokens[:, way]
    behind = logits(SOURCE, jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=1)[:, :-1])
    steps = jnp.take_along_axis(jax.nn.log_softmax(behind), tokens[:, :, None], axis=2)[:, :, 0]
    real = jnp.cumsum(tokens == MARKS.end, axis=1) - (tokens == MARKS.end) == 0
    expected = jnp.sum(jnp.where(real, steps, 0), axis=1) / jnp.sum(real, axis=1) ** 0.75
    np.testing.assert_allclose(found.scores[:, way], expected, atol=1e-4)


def test_sampling_follows_the_softmax_and_its_temperature():
  logits = jnp.array([-9.0, -9.0, -9.0, 0.0, 1.0])
  writer = lambda memory, token: (jnp.broadcast_to(logits[None], (4000, 5)), memory)
  for temperature in (1.0, 0.5):
    drawn = sample(writer, None, 4000, MARKS, 1, jax.random.key(0), temperature)
    share = float(jnp.mean(drawn == 4))
    assert share == pytest.approx(1 / (1 + np.exp(-1 / temperature)), abs=0.03)


def test_after_the_end_there_is_only_padding():
  writer = lambda memory, token: (jax.nn.one_hot(jnp.where(token == 4, 2, 4), 5), memory)
  found = greedy(writer, None, 2, MARKS, 5)
  np.testing.assert_array_equal(found, [[4, 2, 0, 0, 0]] * 2)


def test_more_tokens_than_there_are_positions_are_refused():
  model = Transformer(11, 12, 1, 8, 2, 16, longest=4)
  params = jax.eval_shape(model.init, jax.random.key(0), (SOURCE[:, :4], TARGET))
  short, longer = SOURCE[:, :4], jnp.pad(TARGET, ((0, 0), (0, 1)))
  jax.eval_shape(model.apply, params, (short, TARGET))
  for inputs in ((SOURCE, TARGET), (short, longer)):
    with pytest.raises(ValueError, match="5 tokens, and positions for longest=4"):
      jax.eval_shape(model.apply, params, inputs)
  with pytest.raises(ValueError, match="longest=4"):
    jax.eval_shape(lambda p, s: model.apply(p, s, 5, method="start"), params, short)


def test_embeddings_are_multiplied_by_the_root_of_their_width_before_places_are_added():
  """Vaswani et al. 2017, sections 3.4 and 3.5."""
  _, params = made("post-norm")
  placed = lambda model: model._placed(model.source_embedding(SOURCE), 2, False)
  table = params["params"]["source_embedding"]["embedding"]
  expected = np.sqrt(8) * table[SOURCE] + sinusoids(7, 8)[None, 2:]
  found = MODELS["post-norm"].apply(params, method=placed)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_papers_base_model_has_44138496_parameters_without_embeddings():
  tokens = jnp.ones((1, 4), jnp.int32)
  params = jax.eval_shape(Transformer(10, 10).init, jax.random.key(0), (tokens, tokens))["params"]
  count = lambda part: sum(leaf.size for leaf in jax.tree.leaves(params[part]))
  assert count("encoder") == 18_914_304 and count("decoder") == 25_224_192


def test_a_language_model_hands_its_carries_on():
  model, tokens = LanguageModel(7, 3, 5, 2), jnp.array([[1, 2, 3, 4, 5, 6]])
  params = model.init(jax.random.key(0), tokens)
  whole, _ = model.apply(params, tokens)
  first, carries = model.apply(params, tokens[:, :2])
  second, _ = model.apply(params, tokens[:, 2:], carries)
  np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, atol=1e-6)
