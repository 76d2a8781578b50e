"""Attention: scores, masked softmax, and the multi-head layer with a key-value cache.

A mask is True where a query may look at a key; it broadcasts over [batch, queries, keys].
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Mask = Bool[Array, "#batch _ _"]


def masked_softmax(
  scores: Float[Array, "*batch keys"], mask: Bool[Array, "*batch keys"]
) -> Float[Array, "*batch keys"]:
  """Softmax over the keys that the mask allows, 0 elsewhere; all 0 where it allows none.

  Scores of 16 bits are exponentiated and summed in float32.
  """
  wide = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
  shares = nn.softmax(jnp.where(mask, wide, jnp.finfo(wide.dtype).min), axis=-1)
  return jnp.where(mask, shares, 0).astype(scores.dtype)


def dot_product_scores(
  queries: Float[Array, "*batch queries features"],
  keys: Float[Array, "*batch keys features"],
  *,
  scaled: bool = True,
) -> Float[Array, "*batch queries keys"]:
  """q'k / sqrt(features) (Vaswani et al. 2017, equation 1); unscaled, Luong's dot product."""
  scores = jnp.einsum("...qd,...kd->...qk", queries, keys)
  return scores / jnp.sqrt(jnp.asarray(queries.shape[-1], scores.dtype)) if scaled else scores


def additive_scores(
  queries: Float[Array, "batch queries hidden"],
  keys: Float[Array, "batch keys hidden"],
  weights: Float[Array, " hidden"],
) -> Float[Array, "batch queries keys"]:
  """v' tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2), of queries and keys projected."""
  return jnp.einsum("bqkh,h->bqk", jnp.tanh(queries[:, :, None] + keys[:, None]), weights)


def attention_pooling(
  queries: Float[Array, " queries"],
  keys: Float[Array, " keys"],
  values: Float[Array, " keys"],
  width: float | Float[Array, ""] = 1.0,
) -> tuple[Float[Array, " queries"], Float[Array, "queries keys"]]:
  """Nadaraya-Watson regression with a Gaussian kernel, and its weights; (q - k) w is the distance.

  Nadaraya 1964 and Watson 1964: a mean of the values, weighted by the softmax of
  -((q - k) w)^2 / 2, which is attention with a score of one parameter.
  """
  scores = -0.5 * jnp.square((queries[:, None] - keys[None]) * width)
  weights = nn.softmax(scores, axis=-1)
  return weights @ values, weights


class KeysValues(NamedTuple):
  """Keys and values; [batch, heads, places, features of a head] each."""

  keys: Float[Array, "batch heads places width"]
  values: Float[Array, "batch heads places width"]

  def put(self, place: Int[Array, ""] | int, new: "KeysValues") -> "KeysValues":
    """The cache with one more place filled, by the keys and values of one token."""
    at = lambda whole, one: whole.at[:, :, place].set(one[:, :, 0])
    return KeysValues(at(self.keys, new.keys), at(self.values, new.values))


class MultiHeadAttention(nn.Module):
  """Scaled dot-product attention in several heads (Vaswani et al. 2017, section 3.2.2).

  Attributes:
    features: of inputs and outputs, divided among the heads.
    heads: how many.
  """

  features: int
  heads: int

  def setup(self) -> None:
    """The parts."""
    if self.features % self.heads:
      raise ValueError(f"{self.features} features cannot be divided among {self.heads} heads")
    dense = lambda: nn.Dense(self.features, kernel_init=nn.initializers.xavier_uniform())
    self.query, self.key, self.value, self.out = dense(), dense(), dense(), dense()

  def _split(self, x: Float[Array, "batch places features"]) -> Array:
    width = self.features // self.heads
    return x.reshape(*x.shape[:2], self.heads, width).swapaxes(1, 2)

  def keys_values(self, x: Float[Array, "batch places features"]) -> KeysValues:
    """Returns the keys and values of `x`."""
    return KeysValues(self._split(self.key(x)), self._split(self.value(x)))

  def __call__(
    self, x: Float[Array, "batch queries features"], source: KeysValues, mask: Mask
  ) -> tuple[Float[Array, "batch queries features"], Float[Array, "batch heads queries keys"]]:
    """Returns what each position of `x` reads from the source, and the attention weights."""
    scores = dot_product_scores(self._split(self.query(x)), source.keys)
    allowed = jnp.broadcast_to(mask[:, None], scores.shape)
    weights = masked_softmax(scores, allowed)
    heads = jnp.einsum("bhqk,bhkd->bhqd", weights, source.values)
    return self.out(heads.swapaxes(1, 2).reshape(*x.shape[:2], self.features)), weights


def causal_mask(length: int) -> Bool[Array, "1 {length} {length}"]:
  """Every place sees itself and those before it."""
  return jnp.tril(jnp.ones((length, length), bool))[None]


def key_mask(lengths_mask: Bool[Array, "batch keys"]) -> Bool[Array, "batch 1 keys"]:
  """Every query sees the keys that are real."""
  return lengths_mask[:, None]
