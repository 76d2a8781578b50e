"""Sentences for images: a convnet, and an LSTM that sees the image once (Vinyals et al. 2015)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research.batch import Batch, inputs_of
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.dropout import Dropout
from research.layers.pooling import max_pool
from research.layers.recurrent import Carry, Recurrent

# Of the LSTM's forget gates: with the usual 1 an image is forgotten before all of it is named.
KEEP_BIAS = 3.0
Image = Float[Array, "batch height width channel"]


class Encoder(nn.Module):
  """Three convolutions with batch normalisation, each halving the image, and a dense layer.

  Attributes:
    features: units of the dense layer.
  """

  features: int

  @nn.compact
  def __call__(self, x: Image, train: bool = False) -> Float[Array, "batch features"]:
    """The features of an image."""
    normed = lambda x: nn.relu(BatchNorm()(x, train))
    x = normed(Conv(24, (5, 5), strides=(2, 2), use_bias=False)(x))
    for channels in (32, 64):
      x = normed(max_pool(Conv(channels, (3, 3), use_bias=False)(x)))
    return normed(nn.Dense(self.features, use_bias=False)(x.reshape(x.shape[0], -1)))


class Captioner(nn.Module):
  """x_-1 = CNN(I), x_t = W_e S_t, p_t+1 = LSTM(x_t): equations 10 to 12.

  Attributes:
    vocabulary: tokens, 0 being padding.
    embedding: features of a token, and of the image in the place before the first.
    hidden: units of the LSTM.
    features: units of the convnet's dense layer.
    is_blind: whether the image is left out, which makes it a language model.
    dropout: rate on what the LSTM is given and what it gives.
  """

  vocabulary: int
  embedding: int = 128
  hidden: int = 128
  features: int = 256
  is_blind: bool = False
  dropout: float | Float[Array, ""] = 0.0

  def setup(self) -> None:
    """The parts."""
    if not self.is_blind:
      self.encoder = Encoder(self.features)
      self.project = nn.Dense(self.embedding)
    self.embed = nn.Embed(self.vocabulary, self.embedding)
    self.decoder = Recurrent(self.hidden, keep_bias=KEEP_BIAS)
    self.drop = Dropout(self.dropout)
    self.out = nn.Dense(self.vocabulary)

  def __call__(
    self, inputs: tuple[Image, Int[Array, "batch places"]], train: bool = False
  ) -> Float[Array, "batch places vocabulary"]:
    """Logits of the token behind each of the sentence's, given the true tokens before it."""
    image, tokens = inputs
    embedded = self.drop(self.embed(tokens), train=train)
    hidden, _ = self.decoder(embedded, self.read(image, train))
    return self.out(self.drop(hidden, train=train))

  def read(self, image: Image, train: bool = False) -> Carry:
    """The LSTM's carry behind the image."""
    if self.is_blind:
      seen = jnp.zeros((len(image), self.embedding))
    else:
      seen = self.project(self.encoder(image, train))
    return self.decoder(seen[:, None])[1]

  def start(self, image: Image, length: int) -> Carry:
    """Returns the memory that `next` begins with; the length counts for nothing."""
    del length
    return self.read(image)

  def next(self, carry: Carry, token: Int[Array, " batch"]) -> tuple[Array, Carry]:
    """Logits [batch, vocabulary] of the token behind this one."""
    hidden, carry = self.decoder(self.embed(token)[:, None], carry)
    return self.out(hidden[:, 0]), carry


def caption_inputs(batch: Batch) -> tuple[Any, Int[Array, "batch target"]]:
  """The images in [0, 1], and their sentences but for the end."""
  return inputs_of(batch), batch["target"][:, :-1]
