import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers.attention import (
  MultiHeadAttention,
  additive_scores,
  attention_pooling,
  causal_mask,
  dot_product_scores,
  masked_softmax,
)
from research.layers.positional import sinusoids
from research.layers.transformer import EncoderLayer


def normal(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_masked_softmax():
  scores = jnp.array([2.0, 4.0, 4.0, 1e30])
  weights = masked_softmax(scores, jnp.array([True, True, True, False]))
  np.testing.assert_allclose(weights, [0.0634, 0.4683, 0.4683, 0], atol=5e-5)
  np.testing.assert_array_equal(masked_softmax(scores, jnp.zeros(4, bool)), 0)
  gradient = jax.grad(lambda s: masked_softmax(s, jnp.zeros(4, bool)).sum())(scores)
  np.testing.assert_array_equal(gradient, 0)


def test_scores_are_their_formulas():
  q, k, v = normal(2, 3, 4), normal(2, 5, 4, seed=1), normal(4, seed=2)
  np.testing.assert_allclose(dot_product_scores(q, k)[1, 2, 3], q[1, 2] @ k[1, 3] / 2, rtol=1e-5)
  np.testing.assert_allclose(
    additive_scores(q, k, v)[0, 1, 2], v @ np.tanh(q[0, 1] + k[0, 2]), rtol=1e-5
  )


def test_pooling_is_nadaraya_and_watsons_formula():
  keys, values, queries = normal(6), normal(6, seed=1), normal(3, seed=2)
  outputs, weights = attention_pooling(queries, keys, values, 1.5)
  kernel = np.exp(-(((queries[:, None] - keys[None]) * 1.5) ** 2) / 2)
  np.testing.assert_allclose(outputs, (kernel * values[None]).sum(1) / kernel.sum(1), rtol=1e-5)
  np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_heads_are_a_loop_over_heads():
  x, layer = normal(2, 5, 6), MultiHeadAttention(6, 3)
  run = lambda module, x: module(x, module.keys_values(x), causal_mask(5))
  variables = layer.init(jax.random.key(0), x, method=run)
  outputs, weights = layer.apply(variables, x, method=run)
  parts, params = [], variables["params"]
  dense = lambda name, x: x @ params[name]["kernel"] + params[name]["bias"][None, None]
  for head in range(3):
    own = slice(2 * head, 2 * head + 2)
    q, k, v = (dense(name, x)[..., own] for name in ("query", "key", "value"))
    scores = jnp.where(causal_mask(5), q @ k.swapaxes(1, 2) / np.sqrt(2), -jnp.inf)
    np.testing.assert_allclose(weights[:, head], jax.nn.softmax(scores), atol=1e-6)
    parts.append(jax.nn.softmax(scores) @ v)
  np.testing.assert_allclose(outputs, dense("out", jnp.concatenate(parts, -1)), atol=1e-5)
  with pytest.raises(ValueError, match="7 features cannot be divided among 3 heads"):
    MultiHeadAttention(7, 3).init(jax.random.key(0), normal(2, 5, 7), method=run)


def test_self_attention_without_positions_knows_no_order():
  layer, x, mask = EncoderLayer(6, 2, 8), normal(2, 5, 6), jnp.ones((1, 1, 5), bool)
  variables = layer.init(jax.random.key(0), x, mask)
  order = jnp.array([3, 1, 4, 0, 2])
  outputs, _ = layer.apply(variables, x, mask)
  shuffled, _ = layer.apply(variables, x[:, order], mask)
  np.testing.assert_allclose(shuffled, outputs[:, order], atol=1e-5)
  places = sinusoids(5, 6)[None]
  with_places = lambda x: layer.apply(variables, x + places, mask)[0]
  assert not np.allclose(with_places(x[:, order]), with_places(x)[:, order], atol=1e-2)


def test_a_shift_of_positions_is_one_linear_map():
  table, shift = np.asarray(sinusoids(60, 8)), 7
  turned = np.zeros_like(table)
  for pair in range(4):
    angle = shift * 10_000 ** (-2 * pair / 8)
    sine, cosine = table[:, 2 * pair], table[:, 2 * pair + 1]
    turned[:, 2 * pair] = sine * np.cos(angle) + cosine * np.sin(angle)
    turned[:, 2 * pair + 1] = cosine * np.cos(angle) - sine * np.sin(angle)
  np.testing.assert_allclose(turned[:-shift], table[shift:], atol=1e-5)
  assert table[3, 4] == pytest.approx(np.sin(3 / 10_000**0.5), rel=1e-5)
  with pytest.raises(ValueError, match="features=7"):
    sinusoids(3, 7)
