"""A recurrent language model: the next token from all before it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.data.text.vocabulary import MARKS, Vocabulary
from research.layers.dropout import Dropout
from research.layers.recurrent import Carry, RecurrentStack
from research.models.decoding import Marks, sample


class LanguageModel(nn.Module):
  """Embedding, recurrent layers, and logits of the next token at every place.

  Attributes:
    vocabulary: tokens.
    embedding: features of a token; 0 for the token itself, one-hot.
    hidden: units of a layer.
    layers: how many.
    cell: one of `research.layers.recurrent.CELLS`.
    bidirectional: whether it may look ahead, which no language model may.
    dropout: rate on the embedding, between layers and on the outputs.
  """

  vocabulary: int
  embedding: int = 0
  hidden: int = 256
  layers: int = 1
  cell: str = "lstm"
  bidirectional: bool = False
  dropout: float | Float[Array, ""] = 0.0

  @nn.compact
  def __call__(
    self,
    tokens: Int[Array, "batch places"],
    carries: tuple[Carry, ...] | None = None,
    train: bool = False,
  ) -> tuple[Float[Array, "batch places vocabulary"], Any]:
    """Logits, and the carries for the text behind."""
    drop = Dropout(self.dropout)
    if self.embedding:
      x = drop(nn.Embed(self.vocabulary, self.embedding)(tokens), train=train)
    else:
      x = nn.one_hot(tokens, self.vocabulary)
    stack = RecurrentStack(self.hidden, self.layers, self.cell, self.bidirectional, self.dropout)
    x, carries = stack(x, carries, train=train)
    return nn.Dense(self.vocabulary)(drop(x, train=train)), carries


def lines(
  model: LanguageModel,
  params: Any,
  characters: Vocabulary,
  count: int,
  length: int,
  key: Key[Array, ""],
  temperature: float,
) -> list[str]:
  """Lines drawn from a language model of characters, of `length` characters at most.

  Each is begun behind the end of a line and ended by the next one. Marks and tokens that the
  vocabulary does not fill are not drawn.
  """
  newline = int(characters.encode("\n")[0])
  _, carries = jax.eval_shape(model.apply, {"params": params}, jnp.zeros((count, 1), jnp.int32))
  number = jnp.arange(model.vocabulary)
  is_known = (number >= len(MARKS)) & (number < len(characters))

  @jax.jit
  def draw(params: Any, key: Key[Array, ""]) -> Int[Array, "count length"]:
    def following(carries: Any, token: Int[Array, " count"]) -> tuple[Array, Any]:
      logits, carries = model.apply({"params": params}, token[:, None], carries)
      return jnp.where(is_known[None], logits[:, 0], -jnp.inf), carries

    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carries)
    return sample(following, zero, count, Marks(newline, newline), length, key, temperature)

  rows = np.asarray(draw(params, key))
  return ["".join(characters.decode(row)).rstrip("\n") for row in rows]
