"""Temporal-difference errors and losses of one transition; batches are `vmap` of them.

`q_tm1` are the values in the state before, `a_tm1` is what was done there, `r_t` and `discount_t`
came of it, and `q_t` are the values in the state after. Targets are constants: no gradient goes
through them.
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
  """The error r + discount max_a q_t[a] - q_tm1[a_tm1] (Watkins and Dayan 1992)."""
  return jax.lax.stop_gradient(r_t + discount_t * jnp.max(q_t)) - q_tm1[a_tm1]


def huber(error: Float[Array, "..."], bound: float | Float[Array, ""] = 1.0) -> Float[Array, "..."]:
  """Half the square up to `bound` and straight beyond: its gradient is the clipped error.

  Mnih et al. 2015, Methods: "clipping the error term to be between -1 and 1".
  """
  size = jnp.abs(error)
  return jnp.where(size <= bound, 0.5 * size**2, bound * (size - 0.5 * bound))


def project(
  atoms: Outputs, probabilities: Float[Array, " m"], places: Float[Array, " m"]
) -> Outputs:
  """Moves probability from `places` to the evenly spaced `atoms`.

  Bellemare, Dabney and Munos 2017, equation 7: each place gives to its two neighbours in
  proportion to its nearness, and what lies outside goes to the atom at the end.
  """
  spacing = atoms[1] - atoms[0]
  distance = jnp.abs(jnp.clip(places, atoms[0], atoms[-1])[None, :] - atoms[:, None]) / spacing
  return jnp.clip(1 - distance, 0, 1) @ probabilities


class Head(NamedTuple):
  """The representation of an action's return by a network's outputs.

  Attributes:
    outputs: numbers for each action.
    value: of (outputs), the expected return.
    loss: of (outputs_tm1, r_t, discount_t, outputs_t), for the action that was taken and for the
      one chosen in the state after: what is minimised, and the priority in the replay memory.
  """

  outputs: int
  value: Callable[[Outputs], Scalar]
  loss: Callable[[Outputs, Scalar, Scalar, Outputs], tuple[Scalar, Scalar]]


def expectation(error_bound: float | Scalar = 1.0) -> Head:
  """One output, the expected return itself (Mnih et al. 2015)."""

  def loss(q_tm1: Outputs, r_t: Scalar, discount_t: Scalar, q_t: Outputs) -> tuple[Scalar, Scalar]:
    error = jax.lax.stop_gradient(r_t + discount_t * q_t[0]) - q_tm1[0]
    return huber(error, error_bound), jnp.abs(error)

  return Head(1, lambda outputs: outputs[0], loss)


def categorical(atoms: int, lowest: float | Scalar, highest: float | Scalar) -> Head:
  """C51 (Bellemare, Dabney and Munos 2017): logits of a distribution over fixed returns.

  The priority is the divergence that is minimised (Hessel et al. 2018, "The integrated agent").
  """
  support = lowest + (highest - lowest) * jnp.linspace(0, 1, atoms)

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
  """QR-DQN (Dabney et al. 2018, equation 10): the return's quantiles at the middle of each share.

  An estimate pays for errors on one side in proportion to its quantile, on the other to the rest.
  """
  middles = (jnp.arange(atoms) + 0.5) / atoms

  def loss(
    theta_tm1: Outputs, r_t: Scalar, discount_t: Scalar, theta_t: Outputs
  ) -> tuple[Scalar, Scalar]:
    targets = jax.lax.stop_gradient(r_t + discount_t * theta_t)
    errors = targets[None, :] - theta_tm1[:, None]
    pays = jnp.abs(middles[:, None] - (errors < 0).astype(errors.dtype))
    total = jnp.sum(jnp.mean(pays * huber(errors), axis=1))
    return total, total

  return Head(atoms, jnp.mean, loss)
