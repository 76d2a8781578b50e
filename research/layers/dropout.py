"""Inverted dropout whose rate may be a JAX tracer, so that a sweep over rates compiles once."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Int, Key

from research.layers.batch_axis import batch_keys


def dropout(
  key: Key[Array, ""],
  x: Float[Array, " batch *features"],
  rate: float | Float[Array, ""],
  positions: Int[Array, " batch"] | None = None,
) -> Float[Array, " batch *features"]:
  """Drops each unit with probability `rate` and divides the others by 1 - rate.

  Srivastava et al. 2014, section 10 (the form that scales in training, not at test time). The mask
  of an example depends on the key and on the example's position in the whole batch only: sharding
  or padding the batch does not change it. Rate 0 is an exact identity, rate 1 gives zeros with zero
  gradients.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)  # a probability of 16 bits would be a coarse one
  keep_probability = 1.0 - jnp.asarray(rate, wide)

  keep = lambda key: jax.random.bernoulli(key, keep_probability, x.shape[1:])
  kept = jax.vmap(keep)(batch_keys(key, x.shape[0], positions))
  scale = 1.0 / jnp.where(keep_probability > 0, keep_probability, 1.0)
  return jnp.where(kept, x * scale.astype(x.dtype), 0.0)


class Dropout(linen.Module):
  """`dropout` as a layer that draws from the random stream `dropout` while training.

  Attributes:
    rate: probability of dropping a unit; a number or a tracer.
  """

  rate: float | Float[Array, ""]

  @linen.compact
  def __call__(
    self,
    x: Float[Array, " batch *features"],
    train: bool = False,
    *,
    positions: Int[Array, " batch"] | None = None,
  ) -> Float[Array, " batch *features"]:
    """The input itself unless `train`; the positions as in `batch_keys`."""
    never_drops = isinstance(self.rate, (int, float)) and self.rate == 0
    if not train or never_drops:
      return x
    return dropout(self.make_rng("dropout"), x, self.rate, positions)
