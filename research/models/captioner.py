"""Sentences for images: a convnet, and an LSTM that sees the image once (Vinyals et al. 2015)."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from research.batch import Batch, inputs_of
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import max_pool
from research.layers.recurrent import Carry, Recurrent

# Of the LSTM's forget gates: with the usual 1 an image is forgotten before all of it is named.
KEEP_BIAS = 3.0
Image = Float[Array, "batch height width channel"]


class Encoder(nn.Module):
  """Four convolutions with batch normalisation, and the maxima of their maps in each quarter.

  Height and width of the image are multiples of 16.
  """

  @nn.compact
  def __call__(self, x: Image, train: bool = False) -> Float[Array, "batch quarter 128"]:
    """The features of the quarters, by rows."""
    normed = lambda x: nn.relu(BatchNorm()(x, train))
    x = normed(Conv(32, (5, 5), strides=(2, 2), use_bias=False)(x))
    for channels in (48, 96):
      x = normed(max_pool(Conv(channels, (3, 3), use_bias=False)(x)))
    x = normed(Conv(128, (3, 3), use_bias=False)(x))
    count, height, width, channels = x.shape
    quarters = x.reshape(count, 2, height // 2, 2, width // 2, channels).max(axis=(2, 4))
    return quarters.reshape(count, 4, channels)


class Named(NamedTuple):
  """Logits of what lies in each quarter, class 0 being nothing, and of its colour."""

  noun: Float[Array, "batch quarter nouns"]
  hue: Float[Array, "batch quarter hues"]


class ObjectNet(nn.Module):
  """The encoder, and two linear classifiers that are the same for all quarters.

  Attributes:
    nouns: that an object may have.
    hues: likewise.
  """

  nouns: int
  hues: int

  @nn.compact
  def __call__(self, x: Image, train: bool = False) -> Named:
    """Logits."""
    features = Encoder(name="encoder")(x, train)
    return Named(nn.Dense(1 + self.nouns)(features), nn.Dense(self.hues)(features))


def object_loss(named: Named, batch: Batch) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of `batch["noun"]` and, where it is not 0, `batch["hue"]`."""
  losses = optax.softmax_cross_entropy_with_integer_labels
  hue = losses(named.hue, batch["hue"]) * (batch["noun"] > 0)
  return jnp.sum(losses(named.noun, batch["noun"]) + hue, axis=-1)


def object_accuracy(named: Named, batch: Batch) -> Float[Array, " batch"]:
  """The share of a scene's objects of which noun and colour are right."""
  pairs = ((named.noun, batch["noun"]), (named.hue, batch["hue"]))
  noun, hue = (logits.argmax(axis=-1) == label for logits, label in pairs)
  there = batch["noun"] > 0
  return jnp.sum(noun & hue & there, axis=-1) / jnp.maximum(jnp.sum(there, axis=-1), 1)


class Captioner(nn.Module):
  """x_-1 = CNN(I), x_t = W_e S_t, p_t+1 = LSTM(x_t): equations 10 to 12. The CNN stays as it is.

  Attributes:
    vocabulary: tokens, 0 being padding.
    embedding: features of a token, and of the image in the place before the first.
    hidden: units of the LSTM.
    is_blind: whether the image is left out, which makes it a language model.
  """

  vocabulary: int
  embedding: int = 128
  hidden: int = 128
  is_blind: bool = False

  def setup(self) -> None:
    """The parts."""
    if not self.is_blind:
      self.encoder = Encoder()
      self.project = nn.Dense(self.embedding, use_bias=False)
      # Without it the many features of an image soon drive the LSTM's gates to their ends.
      self.norm = BatchNorm()
    self.embed = nn.Embed(self.vocabulary, self.embedding)
    self.decoder = Recurrent(self.hidden, keep_bias=KEEP_BIAS)
    self.out = nn.Dense(self.vocabulary)

  def __call__(
    self, inputs: tuple[Image, Int[Array, "batch places"]], train: bool = False
  ) -> Float[Array, "batch places vocabulary"]:
    """Logits of the token behind each of the sentence's, given the true tokens before it."""
    image, tokens = inputs
    hidden, _ = self.decoder(self.embed(tokens), self.read(image, train))
    return self.out(hidden)

  def read(self, image: Image, train: bool = False) -> Carry:
    """The LSTM's carry behind the image."""
    if self.is_blind:
      seen = jnp.zeros((len(image), self.embedding))
    else:
      features = jax.lax.stop_gradient(self.encoder(image)).reshape(len(image), -1)
      seen = self.norm(self.project(features), train)
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
