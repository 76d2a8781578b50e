"""CartPole-v1: a pole on a cart that is pushed left or right at every step.

Barto, Sutton and Anderson 1983 with the constants, limits and rewards of gymnasium's CartPole-v1:
1 for every step; terminated when the pole leans by more than 12 degrees or the cart is 2.4 m away,
truncated after 500 steps.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research.rl.environment import Environment, Transition

GRAVITY = 9.8  # m/s^2
CART_MASS, POLE_MASS = 1.0, 0.1  # kg
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # m, of the pole
FORCE = 10.0  # N
SECONDS = 0.02  # between two steps
FARTHEST = 2.4  # m
STEEPEST = math.radians(12)
MAX_EPISODE_STEPS = 500


class State(NamedTuple):
  """Position (m), speed (m/s), angle (rad), its speed (rad/s) as a vector; and the step."""

  physics: Float[Array, "4"]
  time: Int[Array, ""]


def reset(key: Key[Array, ""]) -> tuple[State, Float[Array, "4"]]:
  """Nearly upright, nearly at rest."""
  physics = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
  return State(physics, jnp.int32(0)), physics


def step(key: Key[Array, ""], state: State, action: Int[Array, ""]) -> Transition:
  """One Euler step; action 1 pushes to the right, 0 to the left."""
  del key
  _, x_dot, theta, theta_dot = state.physics
  force = jnp.where(action == 1, FORCE, -FORCE)
  sine, cosine = jnp.sin(theta), jnp.cos(theta)
  # Barto et al. 1983, appendix, without friction.
  pushed = (force + POLE_MASS * HALF_LENGTH * theta_dot**2 * sine) / TOTAL_MASS
  theta_acc = (GRAVITY * sine - cosine * pushed) / (
    HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine**2 / TOTAL_MASS)
  )
  x_acc = pushed - POLE_MASS * HALF_LENGTH * theta_acc * cosine / TOTAL_MASS
  change = jnp.stack([x_dot, x_acc, theta_dot, theta_acc])
  physics = state.physics + SECONDS * change
  time = state.time + 1
  has_failed = (jnp.abs(physics[0]) > FARTHEST) | (jnp.abs(physics[2]) > STEEPEST)
  return Transition(
    State(physics, time),
    physics,
    jnp.float32(1),
    jnp.where(has_failed, 0.0, 1.0),
    has_failed | (time >= MAX_EPISODE_STEPS),
  )


def draw(state: State) -> Float[Array, "height width 3"]:
  """Track, cart and pole from the side; 60 by 120 pixels."""
  height, width = 60, 120
  row, column = jnp.mgrid[0:height, 0:width]
  metres = width / (2 * FARTHEST)
  centre = width / 2 + state.physics[0] * metres
  track = row == 50
  cart = (jnp.abs(row - 46) <= 4) & (jnp.abs(column - centre) <= 8)
  # Position along the pole's axis, and distance from it.
  up, right = 42 - row, column - centre
  sine, cosine = jnp.sin(state.physics[2]), jnp.cos(state.physics[2])
  along, across = up * cosine + right * sine, right * cosine - up * sine
  pole = (along >= 0) & (along <= 36) & (jnp.abs(across) <= 1.5)
  picture = jnp.ones((height, width, 3))
  for mask, colour in ((track, (0.6, 0.6, 0.6)), (cart, (0.1, 0.1, 0.1)), (pole, (0.84, 0.37, 0))):
    picture = jnp.where(mask[..., None], jnp.array(colour), picture)
  return picture


environment = Environment(reset, step, draw, ("left", "right"), MAX_EPISODE_STEPS)
