"""One hidden layer for several tasks, each a yes-or-no question, with labels missing (N07).

Ng, "Structuring machine learning projects", multi-task learning: a sigmoid for each task, and a
loss that sums over the labels that are there. Which tasks are learned and how many units there are
may be traced numbers, so that nets of all sizes are lanes of one program.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from research.batch import Batch


class SharedTrunk(linen.Module):
  """A hidden layer, of which only the first units are used, and a logit for each task.

  Attributes:
    units: that are used; a number or a tracer.
    widest: units that there is room for.
    tasks: logits.
  """

  units: float | Float[Array, ""]
  widest: int
  tasks: int

  @linen.compact
  def __call__(
    self, x: Float[Array, " batch *features"], train: bool = False
  ) -> Float[Array, "batch task"]:
    """The logits."""
    x = linen.Dense(self.widest, kernel_init=linen.initializers.he_normal())(
      x.reshape(x.shape[0], -1)
    )
    x = linen.relu(x) * (jnp.arange(self.widest) < self.units)[None]
    return linen.Dense(self.tasks, kernel_init=linen.initializers.zeros)(x)


def is_asked(tasks: int, config: Any) -> Bool[Array, " task"]:
  """Tells of each task whether it is learned: `config.tasks` of them from `config.first` on."""
  number = jnp.arange(tasks)
  return (config.first <= number) & (number < config.first + config.tasks)


def is_labelled(tasks: int, batch: Batch, config: Any) -> Bool[Array, "batch task"]:
  """Tells which tasks an image has a label for: `config.labels` from that of its number on.

  Numbers are `batch["number"]`; behind the last task comes the first one.
  """
  return (jnp.arange(tasks)[None] - batch["number"][:, None]) % tasks < config.labels


def labelled_loss(
  logits: Float[Array, "batch task"], batch: Batch, config: Any
) -> Float[Array, " batch"]:
  """Logistic losses under `batch["answers"]`, 0 or 1, summed over the labels that are there."""
  tasks = logits.shape[1]
  losses = jax.nn.softplus(logits) - batch["answers"] * logits
  is_there = is_labelled(tasks, batch, config) & is_asked(tasks, config)[None]
  return jnp.sum(losses, axis=1, where=is_there)


def task_errors(
  logits: Float[Array, "batch task"], batch: Batch, config: Any
) -> Float[Array, " batch"]:
  """The share of the learned tasks that are answered wrongly, be they labelled or not."""
  is_wrong = (logits > 0) != (batch["answers"] > 0)
  return jnp.mean(is_wrong, axis=1, where=is_asked(logits.shape[1], config)[None])
