"""Update rules written out, and where their epsilon stands.

Each is the formula of its source, to compare with the optax transformations of
`research.optimizers`. The knobs are an object with `learning_rate` and, where a rule needs them,
`momentum`, `decay` (of RMSProp's mean square), `beta1` and `beta2`; they may be tracers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Vector = Float[Array, " n"]
Knobs = Any


class Rule(NamedTuple):
  """An update rule for a vector of parameters.

  Attributes:
    init: the first memory, from the parameters.
    update: the next memory and the update, from the knobs, the memory, the gradient and the number
      of the step, which counts from 1.
  """

  init: Callable[[Vector], Any]
  update: Callable[[Knobs, Any, Vector, Any], tuple[Any, Vector]]


def sgd(c: Knobs, memory: None, g: Vector, t: Array) -> tuple[None, Vector]:
  """Steps down the gradient."""
  return memory, -c.learning_rate * g


def momentum(c: Knobs, v: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
  """Steps by a velocity that keeps a share of itself (Polyak 1964)."""
  v = c.momentum * v - c.learning_rate * g
  return v, v


def nesterov(c: Knobs, v: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
  """Steps by the gradient where momentum will have led (Bengio et al. 2012, equation 7)."""
  update = c.momentum**2 * v - (1 + c.momentum) * c.learning_rate * g
  return c.momentum * v - c.learning_rate * g, update


def adagrad(epsilon: float, *, inside: bool) -> Rule:
  """Divides g by the root of the sum of g^2 so far (Duchi et al. 2011)."""

  def update(c: Knobs, h: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
    h = h + g**2
    return h, -c.learning_rate * g / _divisor(h, epsilon, inside)

  return Rule(jnp.zeros_like, update)


def rmsprop(epsilon: float, *, inside: bool) -> Rule:
  """Divides g by the root of the running mean of g^2 (Hinton 2012)."""

  def update(c: Knobs, h: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
    h = c.decay * h + (1 - c.decay) * g**2
    return h, -c.learning_rate * g / _divisor(h, epsilon, inside)

  return Rule(jnp.zeros_like, update)


def adam(epsilon: float, *, beside_corrected: bool) -> Rule:
  """Divides the running mean of g by the root of that of g^2, both corrected (Kingma and Ba 2015).

  Epsilon is added to the corrected root, as in the paper, or to the uncorrected one.
  """

  def update(c: Knobs, memory: tuple, g: Vector, t: Array) -> tuple[tuple, Vector]:
    m, v = memory
    m = c.beta1 * m + (1 - c.beta1) * g
    v = c.beta2 * v + (1 - c.beta2) * g**2
    m_corrected, correction = m / (1 - c.beta1**t), 1 - c.beta2**t
    if beside_corrected:
      size = jnp.sqrt(v / correction) + epsilon
    else:
      size = (jnp.sqrt(v) + epsilon) / correction**0.5
    return (m, v), -c.learning_rate * m_corrected / size

  return Rule(lambda w: (jnp.zeros_like(w), jnp.zeros_like(w)), update)


def _divisor(h: Vector, epsilon: float, inside: bool) -> Vector:
  """The root of h, with epsilon inside or outside of it."""
  return jnp.sqrt(h + epsilon) if inside else jnp.sqrt(h) + epsilon


def updates(rule: Rule, c: Knobs, gradients: Float[Array, "steps n"]) -> Float[Array, "steps n"]:
  """Updates by given gradients, which do not depend on them."""

  def one(memory: Any, step: tuple[Vector, Array]) -> tuple[Any, Vector]:
    return rule.update(c, memory, *step)

  times = jnp.arange(1, len(gradients) + 1, dtype=gradients.dtype)
  return jax.lax.scan(one, rule.init(gradients[0]), (gradients, times))[1]
