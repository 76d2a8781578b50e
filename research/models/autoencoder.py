"""The sparse auto-encoder, with a softmax layer on its code."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen
from jaxtyping import Array, Float

from research.batch import Batch, inputs_of, weights_of
from research.layers.batch_axis import batch_sum
from research.losses import softmax_cross_entropy

ACTIVITY = 0.05  # of a unit, in the mean over images
SPARSITY = 3.0  # weight of the divergence from it


class Coded(NamedTuple):
  """The net's outputs in training: the classes' logits, the code, the pixels' logits."""

  logits: Float[Array, "batch class"]
  code: Float[Array, "batch unit"]
  pixels: Float[Array, "batch pixel"]


class CodeClassifier(linen.Module):
  """A layer of sigmoids that learns to give its input back, and a softmax layer on top.

  The classifier reads the code and does not change it: while training no gradient flows from its
  loss into the encoder (Szegedy et al. 2014, section 2: the layer of AE400-10 is not fine-tuned).

  Attributes:
    units: of the code.
    classes: of the softmax.
    kernel_init: initialiser of the weights.
  """

  units: int = 400
  classes: int = 10
  kernel_init: linen.initializers.Initializer = linen.initializers.xavier_normal()

  @linen.compact
  def __call__(
    self, x: Float[Array, " batch *features"], train: bool = False
  ) -> Float[Array, "batch class"] | Coded:
    """The logits; while training, `Coded`."""
    x = x.reshape(x.shape[0], -1)
    code = linen.sigmoid(linen.Dense(self.units, kernel_init=self.kernel_init, name="encoder")(x))
    pixels = linen.Dense(x.shape[-1], kernel_init=self.kernel_init, name="decoder")(code)
    classifier = linen.Dense(self.classes, kernel_init=self.kernel_init, name="classifier")
    if train:
      return Coded(classifier(jax.lax.stop_gradient(code)), code, pixels)
    return classifier(code)  # an attack needs the gradient with respect to the images


def code_loss(coded: Coded, batch: Batch) -> Float[Array, " batch"]:
  """Cross-entropies of the class and of the pixels, and the divergence of the mean activities.

  The last is sum_j KL(rho || mean code_j) over the batch (Lee et al. 2008; Ng's notes CS294A,
  equation 3), and the same for every example.
  """
  images = inputs_of(batch)
  images = images.reshape(images.shape[0], -1)
  weight = weights_of(batch)
  means = batch_sum(weight @ coded.code) / batch_sum(weight.sum())
  divergence = ACTIVITY * jnp.log(ACTIVITY / means)
  divergence += (1 - ACTIVITY) * jnp.log((1 - ACTIVITY) / (1 - means))
  pixels = optax.sigmoid_binary_cross_entropy(coded.pixels, images).sum(axis=-1)
  return softmax_cross_entropy(coded.logits, batch) + pixels + SPARSITY * divergence.sum()
