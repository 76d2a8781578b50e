"""Temporal-difference errors and losses of one transition; batches are `vmap` of them.

`q_tm1` are the values in the state before, `a_tm1` is the action taken there, `r_t` and
`discount_t` are its reward and discount, and `q_t` are the values in the state after. Targets are
constants: no gradient goes through them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]
Values = Float[Array, " action"]
Outputs = Float[Array, " output"]


def q_learning(
  q_tm1: Values, a_tm1: Int[Array, ""], r_t: Scalar, discount_t: Scalar, q_t: Values
) -> Scalar:
  """The TD error r_t + discount_t max_a q_t[a] - q_tm1[a_tm1] (Watkins and Dayan 1992)."""
  return jax.lax.stop_gradient(r_t + discount_t * jnp.max(q_t)) - q_tm1[a_tm1]


def huber(error: Float[Array, "..."], delta: float | Float[Array, ""] = 1.0) -> Float[Array, "..."]:
  """Huber's loss: half the square up to `delta`, linear beyond; its gradient is the clipped error.

  Mnih et al. 2015, Methods: "clipping the error term to be between -1 and 1".
  """
  size = jnp.abs(error)
  return jnp.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def project(
  atoms: Outputs, probabilities: Float[Array, " m"], returns: Float[Array, " m"]
) -> Outputs:
  """Projects a distribution over `returns` onto the evenly spaced `atoms`.

  Bellemare, Dabney and Munos 2017, equation 7: each return shares its probability between its two
  neighbouring atoms in proportion to proximity; returns outside go to the atom at that end.
  """
  spacing = atoms[1] - atoms[0]
  distance = jnp.abs(jnp.clip(returns, atoms[0], atoms[-1])[None, :] - atoms[:, None]) / spacing
  return jnp.clip(1 - distance, 0, 1) @ probabilities


class Head(NamedTuple):
  """The representation of an action's return by a network's outputs.

  Attributes:
    outputs: numbers for each action.
    value: outputs -> expected return.
    loss: (outputs_tm1 of the action taken, r_t, discount_t, outputs_t of the action selected in
      the state after) -> the loss, and the transition's priority in the replay memory.
  """

  outputs: int
  value: Callable[[Outputs], Scalar]
  loss: Callable[[Outputs, Scalar, Scalar, Outputs], tuple[Scalar, Scalar]]


def expectation(huber_delta: float | Scalar = 1.0) -> Head:
  """One output, the expected return (Mnih et al. 2015); the priority is the absolute TD error."""

  def loss(q_tm1: Outputs, r_t: Scalar, discount_t: Scalar, q_t: Outputs) -> tuple[Scalar, Scalar]:
    td_error = jax.lax.stop_gradient(r_t + discount_t * q_t[0]) - q_tm1[0]
    return huber(td_error, huber_delta), jnp.abs(td_error)

  return Head(1, lambda outputs: outputs[0], loss)


def categorical(atoms: int, v_min: float | Scalar, v_max: float | Scalar) -> Head:
  """C51 (Bellemare, Dabney and Munos 2017): logits of a distribution over fixed returns.

  The priority is the Kullback-Leibler divergence (Hessel et al. 2018, "The Integrated Agent").
  """
  support = v_min + (v_max - v_min) * jnp.linspace(0, 1, atoms)

  def loss(
    logits_tm1: Outputs, r_t: Scalar, discount_t: Scalar, logits_t: Outputs
  ) -> tuple[Scalar, Scalar]:
    target = project(support, jax.nn.softmax(logits_t), r_t + discount_t * support)
    target = jax.lax.stop_gradient(target)
    cross_entropy = -jnp.sum(target * jax.nn.log_softmax(logits_tm1))
    entropy = -jnp.sum(jax.scipy.special.xlogy(target, target))
    return cross_entropy, jnp.maximum(cross_entropy - entropy, 0)

  return Head(atoms, lambda logits: jax.nn.softmax(logits) @ support, loss)


def quantiles(atoms: int) -> Head:
  """QR-DQN (Dabney et al. 2018, equation 10): quantiles of the return at the midpoints tau.

  The quantile Huber loss weighs an error by tau where the target is larger, else by 1 - tau.
  """
  tau = (jnp.arange(atoms) + 0.5) / atoms

  def loss(
    theta_tm1: Outputs, r_t: Scalar, discount_t: Scalar, theta_t: Outputs
  ) -> tuple[Scalar, Scalar]:
    targets = jax.lax.stop_gradient(r_t + discount_t * theta_t)
    td_errors = targets[None, :] - theta_tm1[:, None]
    weights = jnp.abs(tau[:, None] - (td_errors < 0).astype(td_errors.dtype))
    total = jnp.sum(jnp.mean(weights * huber(td_errors), axis=1))
    return total, total

  return Head(atoms, jnp.mean, loss)
