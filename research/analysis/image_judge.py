"""The judge of generated images: a network that learnt from real ones, and never from those."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float

from research.batch import by_parts
from research.config import nested, pytree_config, static
from research.data import sampling, sets
from research.initializers import Init, kernel_init
from research.learner import TrainState, supervised
from research.losses import softmax_cross_entropy
from research.models.simple_convnet import SimpleConvNet
from research.optimizers import Optimizer, make_optimizer
from research.training import Fits, Training

CHUNK = 500  # images that it sees at once


@pytree_config
class Judge:
  """Settings of the judge's training."""

  optimizer: Optimizer = nested(Optimizer("adam", 1e-3, "linear"))
  epochs: int = static(5, "passes of the convolutional network", at_least=1)
  batch_size: int = static(100, "examples per step", at_least=1)


class Verdict(NamedTuple):
  """The judge's class probabilities, and its accuracy on real images.

  Attributes:
    chances: P(class | image) of the generated images.
    accuracy: on real test images.
    features: of the generated images: the activations of its hidden dense layer.
  """

  chances: Float[np.ndarray, "image class"]
  accuracy: float
  features: Float[np.ndarray, "image feature"]


def judge(
  lab: Fits, config: Judge, dataset: str, images: Float[np.ndarray, "image height width 1"]
) -> Verdict:
  """Trains the judge on a data set, as the fit "judge", and shows it images in [0, 1]."""
  splits, model = sets.load(dataset), SimpleConvNet(kernel_init=kernel_init(Init("he_normal")))
  every = max(1, splits.train["label"].size // config.batch_size)
  learner = supervised(
    lambda config: model,
    softmax_cross_entropy,
    lambda config: images.shape[1:],
    lambda config: make_optimizer(config.optimizer, config.epochs * every),
  )
  training = Training(
    learner,
    splits.train,
    sampling.by_epoch(config.batch_size),
    steps=config.epochs * every,
    evaluate={"test": splits.test},
    evaluate_every=every,
    log_every=every,
  )
  fit = lab.fit("judge", config, training)
  chances, features = by_parts(functools.partial(_seen, model, fit.state), images, CHUNK)
  return Verdict(chances, fit.last("test/accuracy"), features)


@functools.partial(jax.jit, static_argnames="model")
def _seen(
  model: SimpleConvNet, state: TrainState, images: Array
) -> tuple[Float[Array, "image class"], Float[Array, "image feature"]]:
  """Class probabilities, and activations of the hidden layer."""
  logits, held = model.apply(
    {"params": state.params},
    jnp.asarray(images),
    capture_intermediates=True,
    mutable=["intermediates"],
  )
  features = linen.relu(held["intermediates"]["Dense_0"]["__call__"][0])
  return jax.nn.softmax(logits), features
