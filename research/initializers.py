"""Weight initialisers by name, each with one scale that may be a JAX tracer.

An initialiser draws from its unit distribution and multiplies by `scale`, so that a sweep over
scales is one compiled program. `scale` is therefore the value of `constant`, the standard deviation
of `normal`, the bound of `uniform`, and a gain (1 is the paper's rule) of the others.

Xavier's rule has two readings. Glorot and Bengio average the two fans: `xavier_normal` and
`xavier_uniform`. Saito's book takes the fan-in only, deviation 1/sqrt(fan_in), which is LeCun's
older rule and stands here under his name: `lecun_normal`.
"""

import functools
from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from research.config import pytree_config, static, traced
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
    "constant": jax.nn.initializers.ones,
    "normal": jax.nn.initializers.normal(1.0),
    "uniform": _symmetric_uniform,
    # LeCun 1998, Efficient BackProp, eq. 16: 1/fan_in keeps a linear layer's variance.
    "lecun_normal": jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun_uniform": jax.nn.initializers.variance_scaling(1.0, "fan_in", "uniform"),
    # Glorot & Bengio 2010, eq. 12 and 16: the compromise between forward and backward variance.
    "xavier_normal": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal"),
    "xavier_uniform": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
    # He et al. 2015, eq. 10: a ReLU halves the variance, so the weights double it; eq. 14 does the
    # same for the gradients on their way back.
    "he_normal": jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
    "he_uniform": jax.nn.initializers.variance_scaling(2.0, "fan_in", "uniform"),
    "he_normal_fan_out": jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
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


RULES: MappingProxyType[str, Initializer] = MappingProxyType(  # of the comparisons, by their names
  {
    "zero": initializer("zeros"),
    "constant 0.01": initializer("constant", 0.01),
    "std 1": initializer("normal", 1.0),
    "std 0.01": initializer("normal", 0.01),
    "LeCun normal": initializer("lecun_normal"),
    "LeCun uniform": initializer("lecun_uniform"),
    "Xavier normal": initializer("xavier_normal"),
    "Xavier uniform": initializer("xavier_uniform"),
    "He normal": initializer("he_normal"),
    "He uniform": initializer("he_uniform"),
    "orthogonal": initializer("orthogonal"),
    "orthogonal x 1.41": initializer("orthogonal", 2**0.5),
  }
)


def rule_at(place: Scale) -> Initializer:
  """The rule at this place in `RULES`, which may be a tracer: all rules are then one program."""

  def init(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
  ) -> Float[Array, "..."]:
    draws = [functools.partial(draw, shape=shape, dtype=dtype) for draw in RULES.values()]
    return jax.lax.switch(jnp.asarray(place, int), draws, key)

  return init


@pytree_config
class Init:
  """The distribution of initial weights, by the flags `--init.name` and `--init.scale`."""

  name: str = static(
    "he_normal", "rule by which the initial weights are drawn", choices=tuple(UNIT_INITIALIZERS)
  )
  scale: float = traced(
    1.0, "factor on the rule; value of constant, deviation of normal, bound of uniform", at_least=0
  )


def kernel_init(init: Init) -> Initializer:
  """The initialiser that a config asks for; its scale may be a tracer."""
  return initializer(init.name, init.scale)
