"""Encoder and decoder of recurrent layers, with a fixed context or with Bahdanau's attention."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from research.layers.attention import additive_scores, masked_softmax
from research.layers.dropout import Dropout
from research.layers.recurrent import CELLS, Carry, Recurrent, RecurrentStack


class Memory(NamedTuple):
  """The memory of step-by-step decoding.

  Attributes:
    carries: of the decoder's layers.
    context: the encoder's last hidden state [batch, hidden], or its outputs [batch, source, ...].
    keys: the outputs as attention compares them [batch, source, hidden]; empty without attention.
    mask: which of the source's tokens are real.
  """

  carries: tuple[Carry, ...]
  context: Array
  keys: Array
  mask: Bool[Array, "batch source"]


class Seq2Seq(nn.Module):
  """Sutskever et al. 2014 with Cho's context at every step, or Bahdanau et al. 2015.

  Without attention the decoder starts from the encoder's carries and sees the encoder's last hidden
  state beside each token. With attention it sees a mean of the encoder's outputs, weighted by its
  own hidden state of the time before.

  Attributes:
    source_vocabulary: tokens of the source, 0 being padding.
    target_vocabulary: tokens of the target, 0 being padding.
    embedding: features of a token.
    hidden: units of every layer.
    layers: in the encoder and in the decoder.
    cell: one of `CELLS`.
    attention: whether the decoder attends.
    bidirectional: whether the encoder reads in both directions; its two last states then pass
      through a dense layer with tanh to become the decoder's first.
    dropout: rate between layers.
    backwards: whether an encoder of one direction reads from the end, as Sutskever et al. 2014 have
      it in section 3.3.
  """

  source_vocabulary: int
  target_vocabulary: int
  embedding: int = 64
  hidden: int = 128
  layers: int = 1
  cell: str = "gru"
  attention: bool = False
  bidirectional: bool = False
  dropout: float | Float[Array, ""] = 0.0
  backwards: bool = False

  def setup(self) -> None:
    """The parts."""
    self.source_embedding = nn.Embed(self.source_vocabulary, self.embedding)
    self.target_embedding = nn.Embed(self.target_vocabulary, self.embedding)
    self.encoder = RecurrentStack(
      self.hidden, self.layers, self.cell, self.bidirectional, self.dropout, self.backwards
    )
    self.decoder = [Recurrent(self.hidden, self.cell) for _ in range(self.layers)]
    self.drop = Dropout(self.dropout)
    self.out = nn.Dense(self.target_vocabulary)
    if self.bidirectional:
      self.bridges = [nn.Dense(self.hidden) for _ in range(self.layers * CELLS[self.cell].carries)]
    if self.attention:
      self.project_key = nn.Dense(self.hidden, use_bias=False)
      self.project_query = nn.Dense(self.hidden, use_bias=False)
      self.score = self.param("score", nn.initializers.normal(self.hidden**-0.5), (self.hidden,))

  def __call__(self, inputs: Any, train: bool = False) -> Float[Array, "batch places vocabulary"]:
    """Logits of the token behind each of the target's, given the true tokens before it."""
    return self.with_weights(inputs, train)[0]

  def with_weights(self, inputs: Any, train: bool = False) -> tuple[Array, Array]:
    """Logits, and the attention to the source [batch, 1, places, source] (empty without)."""
    source, target = inputs
    memory = self.read(source, train)
    embedded = self.target_embedding(target)
    if not self.attention:
      context = jnp.broadcast_to(memory.context[:, None], (*target.shape, memory.context.shape[-1]))
      hidden, _ = self._decode(jnp.concatenate([embedded, context], axis=-1), memory.carries, train)
      return self.out(hidden), jnp.zeros((len(source), 1, *target.shape[1:], 0))
    body = lambda module, carries, token: module._attend(memory, carries, token, train)
    loop = nn.scan(
      body,
      variable_broadcast="params",
      split_rngs={"params": False, "dropout": True},
      in_axes=1,
      out_axes=1,
    )
    _, (hidden, weights) = loop(self, memory.carries, embedded)
    return self.out(hidden), weights[:, None]

  def read(self, source: Int[Array, "batch source"], train: bool = False) -> Memory:
    """The source, encoded."""
    mask = source > 0
    outputs, carries = self.encoder(self.source_embedding(source), None, mask, train)
    if self.bidirectional:
      pairs = zip(carries[::2], carries[1::2], strict=True)
      both = [jnp.concatenate(two, -1) for ways in pairs for two in zip(*ways, strict=True)]
      states = [jnp.tanh(bridge(two)) for bridge, two in zip(self.bridges, both, strict=True)]
      size = CELLS[self.cell].carries
      carries = tuple(tuple(states[i : i + size]) for i in range(0, len(states), size))
    if self.attention:
      return Memory(carries, outputs, self.project_key(outputs), mask)
    return Memory(carries, carries[-1][0], jnp.zeros((len(source), 0, 0)), mask)

  def _decode(
    self, x: Float[Array, "batch places features"], carries: tuple[Carry, ...], train: bool
  ) -> tuple[Array, tuple[Carry, ...]]:
    last = []
    for number, layer in enumerate(self.decoder):
      x = self.drop(x, train=train) if number else x
      x, carry = layer(x, carries[number])
      last.append(carry)
    return x, tuple(last)

  def _attend(
    self, memory: Memory, carries: tuple[Carry, ...], token: Float[Array, "batch e"], train: bool
  ) -> tuple[tuple[Carry, ...], tuple[Array, Array]]:
    query = self.project_query(carries[-1][0])[:, None]
    scores = additive_scores(query, memory.keys, self.score)[:, 0]
    weights = masked_softmax(scores, memory.mask)
    context = jnp.einsum("bs,bsh->bh", weights, memory.context)
    x = jnp.concatenate([token, context], axis=-1)[:, None]
    hidden, carries = self._decode(x, carries, train)
    return carries, (hidden[:, 0], weights)

  def start(self, source: Int[Array, "batch source"], length: int) -> Memory:
    """Returns the memory that `next` begins with; a recurrent net ignores the length."""
    del length
    return self.read(source)

  def next(self, memory: Memory, token: Int[Array, " batch"]) -> tuple[Array, Memory]:
    """Logits [batch, vocabulary] of the token behind this one."""
    embedded = self.target_embedding(token)
    if self.attention:
      carries, (hidden, _) = self._attend(memory, memory.carries, embedded, False)
    else:
      x = jnp.concatenate([embedded, memory.context], axis=-1)[:, None]
      hidden, carries = self._decode(x, memory.carries, False)
      hidden = hidden[:, 0]
    return self.out(hidden), memory._replace(carries=carries)
