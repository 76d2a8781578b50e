"""The Transformer's encoder and decoder layers, with the norm behind each residual or before.

Vaswani et al. 2017, section 3, has LayerNorm(x + sublayer(x)); before the sublayer it is
x + sublayer(LayerNorm(x)) (Xiong et al. 2020), which trains without a warm-up.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float, Int

from research.layers.attention import KeysValues, Mask, MultiHeadAttention
from research.layers.dropout import Dropout

Tokens = Float[Array, "batch places features"]
# Two passes, the mean first: in one, a large mean costs the variance its digits.
LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)


class FeedForward(nn.Module):
  """Two dense layers with a ReLU between them, at every place alike."""

  features: int
  hidden: int

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    """The same shape."""
    hidden = nn.relu(nn.Dense(self.hidden)(x))
    return nn.Dense(self.features)(hidden)


class Residual(nn.Module):
  """x + sublayer(x) with dropout on the sublayer and a layer norm behind or before."""

  pre_norm: bool
  dropout: float | Float[Array, ""]

  @nn.compact
  def __call__(self, x: Tokens, sublayer: Callable[[Tokens], Tokens], train: bool) -> Tokens:
    """The same shape."""
    norm, dropout = LayerNorm(), Dropout(self.dropout)
    if self.pre_norm:
      return x + dropout(sublayer(norm(x)), train=train)
    return norm(x + dropout(sublayer(x), train=train))


class EncoderLayer(nn.Module):
  """Self-attention, then the feed-forward net.

  Attributes:
    features: of a token.
    heads: of the attention.
    hidden: of the feed-forward net.
    pre_norm: whether the norm stands before each sublayer.
    dropout: rate on each sublayer's output.
  """

  features: int
  heads: int
  hidden: int
  pre_norm: bool = False
  dropout: float | Float[Array, ""] = 0.0

  def setup(self) -> None:
    """The parts."""
    self.attention = MultiHeadAttention(self.features, self.heads)
    self.feed_forward = FeedForward(self.features, self.hidden)
    self.residuals = [Residual(self.pre_norm, self.dropout) for _ in range(2)]

  def __call__(
    self, x: Tokens, mask: Mask, train: bool = False
  ) -> tuple[Tokens, Float[Array, "batch heads places places"]]:
    """The tokens, and the attention weights."""
    weights = []

    def attend(x: Tokens) -> Tokens:
      read, seen = self.attention(x, self.attention.keys_values(x), mask)
      weights.append(seen)
      return read

    x = self.residuals[0](x, attend, train)
    return self.residuals[1](x, self.feed_forward, train), weights[0]


class DecoderLayer(nn.Module):
  """Causal self-attention, attention to the encoder's tokens, then the feed-forward net.

  Attributes: as `EncoderLayer`.
  """

  features: int
  heads: int
  hidden: int
  pre_norm: bool = False
  dropout: float | Float[Array, ""] = 0.0

  def setup(self) -> None:
    """The parts."""
    self.attention = MultiHeadAttention(self.features, self.heads)
    self.cross_attention = MultiHeadAttention(self.features, self.heads)
    self.feed_forward = FeedForward(self.features, self.hidden)
    self.residuals = [Residual(self.pre_norm, self.dropout) for _ in range(3)]

  def read_source(self, source: Tokens) -> KeysValues:
    """The encoder's tokens as this layer will read them, once for all steps."""
    return self.cross_attention.keys_values(source)

  def __call__(
    self,
    x: Tokens,
    mask: Mask,
    source: KeysValues,
    source_mask: Mask,
    train: bool = False,
    cache: tuple[KeysValues, Int[Array, ""]] | None = None,
  ) -> tuple[Tokens, Float[Array, "batch heads places source"], KeysValues]:
    """The tokens, the weights on the source, and the keys and values of the tokens.

    With a cache, `x` is one token for the place that stands with it, and the keys and values are
    the cache with that place filled.
    """
    own: list[KeysValues] = []
    weights = []

    def attend(x: Tokens) -> Tokens:
      new = self.attention.keys_values(x)
      own.append(new if cache is None else cache[0].put(cache[1], new))
      return self.attention(x, own[0], mask)[0]

    def attend_to_source(x: Tokens) -> Tokens:
      read, seen = self.cross_attention(x, source, source_mask)
      weights.append(seen)
      return read

    x = self.residuals[0](x, attend, train)
    x = self.residuals[1](x, attend_to_source, train)
    return self.residuals[2](x, self.feed_forward, train), weights[0], own[0]
