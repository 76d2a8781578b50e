"""Local response normalisation, Krizhevsky, Sutskever and Hinton 2012, section 3.3."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def local_response_norm(
  x: Float[Array, " batch *positions channel"],
  *,
  neighbours: int = 5,
  offset: float = 2.0,
  strength: float = 1e-4,
  exponent: float = 0.75,
) -> Float[Array, " batch *positions channel"]:
  """Divides each value by (k + alpha * sum of squares over neighbouring channels) ^ beta.

  The sums are a product with a banded matrix of ones, which is fast on every backend, in both
  directions. Frameworks after the paper often divide alpha by n; the paper does not. Activations of
  16 bits are squared in float32.

  Args:
    x: activations, channels last.
    neighbours: n, channels in a sum, the own one in the middle; fewer at the ends.
    offset: k.
    strength: alpha.
    exponent: beta.
  """
  channel = np.arange(x.shape[-1])
  is_near = np.abs(channel[:, None] - channel[None]) <= neighbours // 2
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  sums = jnp.square(wide) @ jnp.asarray(is_near, wide.dtype)
  return (wide * (offset + strength * sums) ** -exponent).astype(x.dtype)
