"""A dense layer whose weights carry learned noise, instead of epsilon-greedy exploration."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Key

INITIAL_NOISE = 0.5  # sigma_0 of the paper


class NoisyDense(linen.Module):
  """Fortunato et al. 2018, equations 9 to 11, with factorised Gaussian noise.

  The weight is mu + sigma * f(e_in) f(e_out), where f(e) = sign(e) sqrt(|e|). Noise is drawn from
  the stream "noise", once a call; without that stream there is none.

  Attributes:
    features: outputs.
  """

  features: int

  @linen.compact
  def __call__(self, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
    """The outputs."""
    inputs = x.shape[-1]
    bound = inputs**-0.5

    def uniform(key: Key[Array, ""], shape: tuple[int, ...]) -> Array:
      return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    sigma = linen.initializers.constant(INITIAL_NOISE * bound)
    kernel = self.param("kernel", uniform, (inputs, self.features))
    bias = self.param("bias", uniform, (self.features,))
    kernel_noise = self.param("kernel_noise", sigma, (inputs, self.features))
    bias_noise = self.param("bias_noise", sigma, (self.features,))
    if self.has_rng("noise"):
      drawn = jax.random.normal(self.make_rng("noise"), (inputs + self.features,)).astype(x.dtype)
      f = jnp.sign(drawn) * jnp.sqrt(jnp.abs(drawn))
      into, out = f[None, :inputs], f[None, inputs:]
      if len(x) == 1:  # as mapped over keys: a noisy kernel for each draw would cost more
        return x @ kernel + bias[None] + (x * into @ kernel_noise + bias_noise[None]) * out
      # Weights first, so that there is one product with the batch and not two.
      kernel = kernel + kernel_noise * into.T * out
      bias = bias + bias_noise * out[0]
    return x @ kernel + bias[None]
