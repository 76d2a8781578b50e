"""Batch normalisation, Ioffe & Szegedy 2015."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from research.layers.batch_axis import batch_sum

Scalar = float | Float[Array, ""]


class BatchNorm(linen.Module):
  """Normalises each channel over the batch and all positions: algorithm 1 of Ioffe & Szegedy 2015.

  The batch variance divides by the number of values m, as the paper's training step does, and the
  running statistics follow `running = momentum * running + (1 - momentum) * batch`, as in Flax:
  PyTorch, and algorithm 2 of the paper, take m / (m - 1) times the batch's variance there. Under
  `pmap` the statistics are those of the whole batch.

  Attributes:
    momentum: weight of the old running statistics; a number or a tracer.
    epsilon: added to the variance; a number or a tracer.
    use_scale: whether to multiply by the learned gamma.
    use_bias: whether to add the learned beta.
    scale_init: initialiser of gamma.
    bias_init: initialiser of beta.
  """

  momentum: Scalar = 0.9
  epsilon: Scalar = 1e-5
  use_scale: bool = True
  use_bias: bool = True
  scale_init: linen.initializers.Initializer = linen.initializers.ones
  bias_init: linen.initializers.Initializer = linen.initializers.zeros

  @linen.compact
  def __call__(
    self,
    x: Float[Array, " batch *positions channel"],
    train: bool = False,
    *,
    mask: Float[Array, " batch"] | None = None,
  ) -> Float[Array, " batch *positions channel"]:
    """Normalises with the batch's statistics while training, else with the running ones.

    Args:
      x: the activations, channels last.
      train: whether to use, and remember, the batch's statistics.
      mask: weight in {0, 1} of each example; one with 0 (padding) does not touch the statistics.
    """
    channels = x.shape[-1:]
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
    running_var = self.variable("batch_stats", "var", jnp.ones, channels)
    if train:
      mean, var = batch_statistics(x, mask)
      if not self.is_initializing():
        for running, batch in ((running_mean, mean), (running_var, var)):
          running.value = self.momentum * running.value + (1 - self.momentum) * batch
    else:
      mean, var = running_mean.value, running_var.value
    multiplier = jax.lax.rsqrt(var + self.epsilon)
    if self.use_scale:
      multiplier *= self.param("scale", self.scale_init, channels)
    per_channel = (1,) * (x.ndim - 1) + (-1,)
    y = (x - mean.reshape(per_channel)) * multiplier.reshape(per_channel)
    if self.use_bias:
      y += self.param("bias", self.bias_init, channels).reshape(per_channel)
    return y


def batch_statistics(
  x: Float[Array, " batch *positions channel"], mask: Float[Array, " batch"] | None = None
) -> tuple[Float[Array, " channel"], Float[Array, " channel"]]:
  """Mean and variance (dividing by m) of each channel over the examples whose mask is one.

  Two passes, the mean first, so that a large mean costs the variance no digits. Sums over rows are
  products with a vector of weights, which the CPU's matrix product threads and vectorises.
  """
  rows = x.reshape(-1, x.shape[-1])
  weights = jnp.ones(x.shape[0], x.dtype) if mask is None else mask.astype(x.dtype)
  weights = jnp.repeat(weights, rows.shape[0] // x.shape[0])
  mean_numerator, count = batch_sum((weights @ rows, weights.sum()))
  count = jnp.maximum(count, 1)
  mean = mean_numerator / count
  var = batch_sum(weights @ jnp.square(rows - mean[None])) / count
  return mean, var
