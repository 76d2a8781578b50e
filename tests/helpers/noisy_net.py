"""A small net with convolution, batch statistics and dropout: all that a transformation could break."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from research.config import nested, pytree_config, static, traced
from research.layers.batch_norm import BatchNorm
from research.layers.dropout import Dropout
from research.learner import supervised
from research.losses import softmax_cross_entropy
from research.optimizers import Optimizer, make_optimizer

STEPS = 7


@pytree_config
class Config:
  width: int = static(8, "features")
  dropout: float = traced(0.3, "dropout rate")
  optimizer: Optimizer = nested(Optimizer(learning_rate=0.02))


class Network(nn.Module):
  """Convolution, batch normalisation, dropout, dense."""

  width: int
  dropout: float

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Conv(self.width, (3, 3), use_bias=False)(x)  # a bias before BatchNorm has no gradient
    x = nn.relu(BatchNorm()(x, train=train))
    x = Dropout(self.dropout)(x.mean(axis=(1, 2)), train=train)
    return nn.Dense(3)(x)


LEARNER = supervised(
  lambda config: Network(config.width, config.dropout),
  softmax_cross_entropy,
  lambda config: (4, 4, 1),
  lambda config: make_optimizer(config.optimizer, STEPS),
)


def data_set(examples=50):
  rng = np.random.default_rng(0)
  return {
    "image": jnp.asarray(rng.integers(0, 256, (examples, 4, 4, 1)), jnp.uint8),
    "label": jnp.asarray(rng.integers(0, 3, examples), jnp.int32),
  }
