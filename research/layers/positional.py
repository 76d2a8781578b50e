"""Sinusoidal positional encoding."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def sinusoids(
  length: int, features: int, base: float = 10_000.0
) -> Float[Array, "length features"]:
  """PE(p, 2i) = sin(p / base^(2i/d)) and PE(p, 2i+1) the cosine (Vaswani et al. 2017, 3.5).

  Raises ValueError where `features` is odd.
  """
  if features % 2:
    raise ValueError(f"sines and cosines come in pairs, so features={features} must be even")
  frequencies = base ** (-jnp.arange(0, features, 2) / features)
  angles = jnp.arange(length)[:, None] * frequencies[None]
  return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(length, features)
