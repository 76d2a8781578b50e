"""The networks that Szegedy et al. 2014 attack (table 1), and what they learn by."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import optax
from flax import linen
from jaxtyping import Array, Float

from research.batch import Batch
from research.initializers import initializer
from research.losses import softmax_cross_entropy
from research.metrics import accuracy
from research.models.autoencoder import CodeClassifier, Coded, code_loss
from research.models.mlp import MLP
from research.optimizers import BESIDE, Optimizer, make_optimizer

Outputs = Float[Array, "batch class"] | Coded


class Row(NamedTuple):
  """A row of table 1.

  Attributes:
    features: units of the layers, the ten classes last.
    decay: lambda of the paper's penalty lambda sum w^2 / k, with k units in the first layer.
    distortion: mean distortion of the nearest examples.
    is_code: whether the first layer is the code of a sparse auto-encoder.
  """

  features: tuple[int, ...]
  decay: float
  distortion: float
  is_code: bool = False

  @property
  def penalty(self) -> float:
    """The factor of the weights in the penalty's gradient, an optimizer's weight decay."""
    return 2 * self.decay / self.features[0]


TABLE_1: Mapping[str, Row] = MappingProxyType(
  {
    "FC10(1e-4)": Row((10,), 1e-4, 0.062),
    "FC10(1e-2)": Row((10,), 1e-2, 0.1),
    "FC10(1)": Row((10,), 1.0, 0.14),
    "FC100-100-10": Row((100, 100, 10), 1e-5, 0.058),
    "FC200-200-10": Row((200, 200, 10), 1e-5, 0.065),
    "AE400-10": Row((400, 10), 1e-6, 0.086, is_code=True),
  }
)


def network(row: Row) -> MLP | CodeClassifier:
  """A network with sigmoids between its layers."""
  kernel_init = initializer("xavier_normal")
  if row.is_code:
    return CodeClassifier(*row.features, kernel_init=kernel_init)
  return MLP(row.features, linen.sigmoid, kernel_init=kernel_init)


def penalised(networks: Mapping[str, Row], config: Any) -> Optimizer:
  """The config's `optimizer`, with the weight decay of its `network`, a name in `networks`."""
  return dataclasses.replace(config.optimizer, weight_decay=networks[config.network].penalty)


def with_penalty(
  networks: Mapping[str, Row],
) -> Callable[[Any, int], optax.GradientTransformation]:
  """The optimizer, `penalised`, of a config and a number of steps."""
  return lambda config, steps: make_optimizer(penalised(networks, config), steps, beside=BESIDE)


def loss(outputs: Outputs, batch: Batch) -> Float[Array, " batch"]:
  """Cross-entropy; the auto-encoder also learns to give the image back."""
  if isinstance(outputs, Coded):
    return code_loss(outputs, batch)
  return softmax_cross_entropy(outputs, batch)


def right(outputs: Outputs, batch: Batch) -> Float[Array, " batch"]:
  """The classifier's accuracy."""
  return accuracy(outputs.logits if isinstance(outputs, Coded) else outputs, batch)
