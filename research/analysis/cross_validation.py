"""Least squares and cross-validation, as functions of which examples are in use."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Rows = Float[Array, "n p"]


def fold_of(examples: int, folds: int, key: Array) -> Int[Array, " n"]:
  """Returns the part of each example; the sizes differ by one at most."""
  return jax.random.permutation(key, jnp.arange(examples) % folds)


def least_squares(x: Rows, y: Float[Array, " n"], use: Bool[Array, " n"]) -> Float[Array, " p"]:
  """Least squares on the examples in use; a touch of ridge keeps it solvable."""
  x = x * use[:, None]
  return jnp.linalg.solve(x.T @ x + 1e-6 * jnp.eye(x.shape[1]), x.T @ y)


def squared_errors(w: Float[Array, " p"], x: Rows, y: Float[Array, " n"]) -> Float[Array, " n"]:
  """Returns the squared error of every example."""
  return jnp.square(x @ w - y)


def cross_validation(
  x: Rows, y: Float[Array, " n"], fold: Int[Array, " n"], folds: int
) -> Float[Array, " folds"]:
  """Mean squared error of every part, by a fit on the others."""

  def one(part: Array) -> Array:
    errors = squared_errors(least_squares(x, y, fold != part), x, y)
    return jnp.sum(errors * (fold == part)) / jnp.sum(fold == part)

  return jax.vmap(one)(jnp.arange(folds))
