"""The Transformer: encoder, decoder, and the whole (Vaswani et al. 2017).

One thing departs: source, target and output have a matrix each, which the paper shares (section
3.4), since here the two sides have vocabularies of their own.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from research.layers.attention import KeysValues, causal_mask, key_mask
from research.layers.dropout import Dropout
from research.layers.positional import sinusoids
from research.layers.transformer import DecoderLayer, EncoderLayer, LayerNorm

Tokens = Float[Array, "batch places features"]


class Encoder(nn.Module):
  """A stack of encoder layers, with a last norm where the norms stand before the sublayers."""

  layers: int
  features: int
  heads: int
  hidden: int
  pre_norm: bool = False
  dropout: float | Float[Array, ""] = 0.0

  @nn.compact
  def __call__(self, x: Tokens, mask: Bool[Array, "batch places"], train: bool = False) -> Tokens:
    """The tokens, each having read all that are real."""
    sizes = (self.features, self.heads, self.hidden, self.pre_norm, self.dropout)
    for _ in range(self.layers):
      x, _ = EncoderLayer(*sizes)(x, key_mask(mask), train)
    return LayerNorm()(x) if self.pre_norm else x


class Decoder(nn.Module):
  """A stack of decoder layers."""

  layers: int
  features: int
  heads: int
  hidden: int
  pre_norm: bool = False
  dropout: float | Float[Array, ""] = 0.0

  def setup(self) -> None:
    """The parts."""
    sizes = (self.features, self.heads, self.hidden, self.pre_norm, self.dropout)
    self.stack = [DecoderLayer(*sizes) for _ in range(self.layers)]
    self.norm = LayerNorm() if self.pre_norm else lambda x: x

  def read_source(self, source: Tokens) -> list[KeysValues]:
    """The encoder's tokens as each layer will read them."""
    return [layer.read_source(source) for layer in self.stack]

  def __call__(
    self,
    x: Tokens,
    source: list[KeysValues],
    source_mask: Bool[Array, "batch source"],
    train: bool = False,
    cache: tuple[list[KeysValues], Int[Array, ""]] | None = None,
  ) -> tuple[Tokens, Array, list[KeysValues]]:
    """The tokens, the last layer's weights on the source, and every layer's keys and values."""
    if cache is None:
      mask = causal_mask(x.shape[1])
    else:
      mask = (jnp.arange(cache[0][0].keys.shape[2]) <= cache[1])[None, None]
    seen = []
    weights = jnp.zeros(())
    for number, layer in enumerate(self.stack):
      own = None if cache is None else (cache[0][number], cache[1])
      x, weights, known = layer(x, mask, source[number], key_mask(source_mask), train, own)
      seen.append(known)
    return self.norm(x), weights, seen


class Memory(NamedTuple):
  """The memory of step-by-step decoding: the encoded source, and the cache of what was written."""

  source: list[KeysValues]
  source_mask: Bool[Array, "batch source"]
  written: list[KeysValues]
  place: Int[Array, ""]


class Transformer(nn.Module):
  """Sequence to sequence; the second of the inputs is the target, one place behind.

  Attributes:
    source_vocabulary: tokens of the source, 0 being padding.
    target_vocabulary: tokens of the target, 0 being padding.
    layers: in the encoder and in the decoder.
    features: of a token.
    heads: of every attention.
    hidden: of the feed-forward nets.
    longest: places for which positions are made; ValueError for longer sequences.
    pre_norm: whether norms stand before the sublayers.
    positions: whether tokens are told where they stand.
    dropout: rate on embeddings and sublayers.
  """

  source_vocabulary: int
  target_vocabulary: int
  layers: int = 6
  features: int = 512
  heads: int = 8
  hidden: int = 2048
  longest: int = 512
  pre_norm: bool = False
  positions: bool = True
  dropout: float | Float[Array, ""] = 0.0

  def setup(self) -> None:
    """The parts."""
    embed = nn.initializers.normal(self.features**-0.5)
    sizes = (self.layers, self.features, self.heads, self.hidden, self.pre_norm, self.dropout)
    self.source_embedding = nn.Embed(self.source_vocabulary, self.features, embedding_init=embed)
    self.target_embedding = nn.Embed(self.target_vocabulary, self.features, embedding_init=embed)
    self.drop = Dropout(self.dropout)
    self.encoder = Encoder(*sizes)
    self.decoder = Decoder(*sizes)
    self.out = nn.Dense(self.target_vocabulary)

  def _placed(self, x: Tokens, first: Int[Array, ""] | int, train: bool) -> Tokens:
    x = x * self.features**0.5
    if self.positions:
      self._has_places_for(x.shape[1])
      places = first + jnp.arange(x.shape[1])
      x = x + sinusoids(self.longest, self.features)[places][None]
    return self.drop(x, train=train)

  def _has_places_for(self, length: int) -> None:
    """An index beyond the last place would be moved back to it, without a word."""
    if length > self.longest:
      raise ValueError(f"{length} tokens, and positions for longest={self.longest}")

  def _encoded(self, source: Int[Array, "batch source"], train: bool) -> Tokens:
    return self.encoder(self._placed(self.source_embedding(source), 0, train), source > 0, train)

  def __call__(self, inputs: Any, train: bool = False) -> Float[Array, "batch places vocabulary"]:
    """Logits of the token behind each of the target's, all at once."""
    return self.with_weights(inputs, train)[0]

  def with_weights(self, inputs: Any, train: bool = False) -> tuple[Array, Array]:
    """Logits, and the last layer's attention to the source, [batch, heads, places, source]."""
    source, target = inputs
    read = self.decoder.read_source(self._encoded(source, train))
    x = self._placed(self.target_embedding(target), 0, train)
    x, weights, _ = self.decoder(x, read, source > 0, train)
    return self.out(x), weights

  def start(self, source: Int[Array, "batch source"], length: int) -> Memory:
    """Returns the memory that `next` needs to write up to `length` tokens."""
    if self.positions:
      self._has_places_for(length)
    read = self.decoder.read_source(self._encoded(source, False))
    width = self.features // self.heads
    empty = jnp.zeros((len(source), self.heads, length, width))
    written = [KeysValues(empty, empty)] * self.layers
    return Memory(read, source > 0, written, jnp.int32(0))

  def next(self, memory: Memory, token: Int[Array, " batch"]) -> tuple[Array, Memory]:
    """Logits [batch, vocabulary] of the token behind this one."""
    x = self._placed(self.target_embedding(token)[:, None], memory.place, False)
    x, _, written = self.decoder(
      x, memory.source, memory.source_mask, False, (memory.written, memory.place)
    )
    return self.out(x)[:, 0], memory._replace(written=written, place=memory.place + 1)
