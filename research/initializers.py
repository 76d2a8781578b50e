"""Weight initialisers by name, each with one scale that may be a JAX tracer.

An initialiser draws from its unit distribution and multiplies by `scale`, so that a sweep over
scales is one compiled program. `scale` is therefore the standard deviation of `normal`, the bound
of `uniform`, and a gain (1 is the paper's rule) of the others.
"""

from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from research.errors import UserError

Scale = float | Float[Array, ""]
Initializer = Callable[..., Float[Array, "..."]]


def _symmetric_uniform(
  key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
  return jax.random.uniform(key, shape, dtype, minval=-1.0, maxval=1.0)


UNIT_INITIALIZERS: MappingProxyType[str, Initializer] = MappingProxyType(
  {
    "zeros": jax.nn.initializers.zeros,
    "normal": jax.nn.initializers.normal(1.0),
    "uniform": _symmetric_uniform,
    # LeCun 1998, Efficient BackProp, eq. 16: 1/fan_in keeps a linear layer's variance.
    "lecun_normal": jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun_uniform": jax.nn.initializers.variance_scaling(1.0, "fan_in", "uniform"),
    # Glorot & Bengio 2010, eq. 12 and 16: the compromise between forward and backward variance.
    "xavier_normal": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal"),
    "xavier_uniform": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
    # He et al. 2015, eq. 10: a ReLU halves the variance, so the weights double it.
    "he_normal": jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
    "he_uniform": jax.nn.initializers.variance_scaling(2.0, "fan_in", "uniform"),
    # Saxe et al. 2014: an orthogonal matrix preserves every singular value.
    "orthogonal": jax.nn.initializers.orthogonal(),
  }
)


def initializer(name: str, scale: Scale = 1.0) -> Initializer:
  """The initialiser called `name`, its draws multiplied by `scale`; fits Flax's `kernel_init`."""
  try:
    draw = UNIT_INITIALIZERS[name]
  except KeyError:
    raise UserError(
      f"initializer {name!r} is unknown; allowed: {', '.join(UNIT_INITIALIZERS)}"
    ) from None

  def init(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
  ) -> Float[Array, "..."]:
    return draw(key, shape, dtype) * jnp.asarray(scale, dtype)

  return init
