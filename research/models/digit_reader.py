"""Numbers of several digits read at once, as Goodfellow et al. 2013 do (inventory V07).

One trunk sees the whole image. P(S | X) = P(L | H) prod_i P(S_i | H): one softmax is of the length,
and one for each place of the digit there; a place behind the last digit has no part in it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Int

from research.batch import Batch
from research.initializers import initializer
from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.pooling import max_pool
from research.metrics import Mean

CHANNELS = (16, 32, 48, 64, 128)  # of the convolutions
HALVINGS = 3
weights = initializer("he_normal")


class Reading(NamedTuple):
  """Logits of a string's length, from 1 on, and of the digit at each place."""

  length: Float[Array, "batch length"]
  digits: Float[Array, "batch place digit"]


class Transcription(NamedTuple):
  """The most probable string of each image.

  Attributes:
    digits: by place; -1 behind the last.
    log_probability: of the whole string, in nats.
  """

  digits: Int[Array, "batch place"]
  log_probability: Float[Array, " batch"]


class Trunk(linen.Module):
  """Up to five convolutions with batch normalisation, three poolings, and a dense layer.

  Whatever the depth, the image is halved three times. The fifth convolution is as high as what is
  left, so that its outputs stand for columns.

  Attributes:
    depth: convolutions, 1 to 5.
    hidden: units of the dense layer.
  """

  depth: int = 5
  hidden: int = 256

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch hidden"]:
    """The features H."""
    for number, channels in enumerate(CHANNELS[: self.depth]):
      is_last = number == len(CHANNELS) - 1
      size = (x.shape[1], 3) if is_last else (3, 3) if number else (5, 5)
      padding = ((0, 0), (1, 1)) if is_last else "SAME"
      x = Conv(channels, size, padding=padding, use_bias=False, kernel_init=weights)(x)
      x = max_pool(x, padding="CEIL") if number < HALVINGS else x
      x = linen.relu(BatchNorm()(x, train))
    for _ in range(HALVINGS - self.depth):
      x = max_pool(x, padding="CEIL")
    x = linen.Dense(self.hidden, use_bias=False, kernel_init=weights)(x.reshape(x.shape[0], -1))
    return linen.relu(BatchNorm()(x, train))


class StringReader(linen.Module):
  """The trunk with a softmax for the length, and one for each place."""

  depth: int = 5
  hidden: int = 256
  longest: int = 5

  @linen.compact
  def __call__(self, x: Float[Array, "batch height width channel"], train: bool = False) -> Reading:
    """The logits."""
    features = Trunk(self.depth, self.hidden, name="trunk")(x, train)
    digits = linen.Dense(10 * self.longest, name="digits")(features)
    length = linen.Dense(self.longest, name="length")(features)
    return Reading(length, digits.reshape(-1, self.longest, 10))


class PieceReader(linen.Module):
  """The same trunk with one softmax, for a single digit unless the classes are others."""

  depth: int = 5
  hidden: int = 256
  classes: int = 10

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    return linen.Dense(self.classes)(Trunk(self.depth, self.hidden, name="trunk")(x, train))


def string_loss(reading: Reading, batch: Batch) -> Float[Array, " batch"]:
  """-log P(S | X) in nats, of `batch["length"]` and `batch["digits"]`, -1 behind the last one."""
  lengths, digits = jax.nn.log_softmax(reading.length), jax.nn.log_softmax(reading.digits)
  there = jnp.maximum(batch["digits"], 0)[..., None]
  of_digits = jnp.take_along_axis(digits, there, axis=-1)[..., 0]
  of_length = jnp.take_along_axis(lengths, batch["length"][:, None] - 1, axis=-1)[:, 0]
  return -of_length - jnp.sum(jnp.where(batch["digits"] >= 0, of_digits, 0), axis=1)


def transcribe(reading: Reading) -> Transcription:
  """Gives the string with the largest P(S | X) of all strings, exactly.

  Given a length, the best string has the best digit at each place. The best of all is therefore the
  best string of the length with the largest log P(l) + sum_(i <= l) max log P(S_i).
  """
  lengths, digits = jax.nn.log_softmax(reading.length), jax.nn.log_softmax(reading.digits)
  of_length = lengths + jnp.cumsum(digits.max(axis=-1), axis=1)
  is_used = jnp.arange(digits.shape[1])[None] <= of_length.argmax(axis=1)[:, None]
  return Transcription(jnp.where(is_used, digits.argmax(axis=-1), -1), of_length.max(axis=1))


def string_accuracy(reading: Reading, batch: Batch) -> Float[Array, " batch"]:
  """1.0 where the most probable string has the image's length and all its digits."""
  return jnp.all(transcribe(reading).digits == batch["digits"], axis=1).astype(float)


def digit_accuracy(reading: Reading, batch: Batch) -> Mean:
  """Share of the image's digits that the most probable string has at their places."""
  is_used = batch["digits"] >= 0
  right = (transcribe(reading).digits == batch["digits"]) & is_used
  return Mean(jnp.sum(right, axis=1, dtype=float), jnp.sum(is_used, axis=1, dtype=float))
