"""Learning-rate schedules as factors of the rate, functions of the share of training that is done.

A schedule multiplies the rate, so that the rate itself may be traced and one program serves a
whole sweep.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]

UNIT_SCHEDULES: Mapping[str, Callable[[Scalar], Scalar]] = MappingProxyType(
  {
    "constant": jnp.ones_like,
    "linear": lambda done: 1 - done,
    # Loshchilov and Hutter 2017, equation 5, a single cycle down to zero.
    "cosine": lambda done: (1 + jnp.cos(jnp.pi * done)) / 2,
    # Smith and Topin 2019, section 3: up, then down to zero; a quarter of the run goes up, from a
    # 25th of the rate as in PyTorch, so that the first update moves something.
    "one_cycle": lambda done: jnp.minimum((1 + 96 * done) / 25, (1 - done) / 0.75),
  }
)
