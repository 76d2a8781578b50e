"""Catch from pixels: a paddle on the bottom row must be where the ball comes down.

Mnih et al. 2014 ("Recurrent Models of Visual Attention", section 4.2) in the form of bsuite (Osband
et al. 2020), here on 10 by 10 pixels: the ball starts in a random column of the top row and falls
one row a step; the only reward, +1 or -1, comes when it reaches the bottom.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from research.rl.environment import Environment, Transition

SIZE = 10  # rows and columns
STEPS = SIZE - 1  # of an episode, until the ball is down


class State(NamedTuple):
  """Row and column of the ball; column of the paddle."""

  row: Int[Array, ""]
  column: Int[Array, ""]
  paddle: Int[Array, ""]


def observe(state: State) -> UInt8[Array, "10 10 1"]:
  """White ball and paddle on black."""
  pixels = jnp.zeros((SIZE, SIZE, 1), jnp.uint8)
  row, column = jnp.mgrid[0:SIZE, 0:SIZE]
  is_ball = (row == state.row) & (column == state.column)
  is_paddle = (row == SIZE - 1) & (column == state.paddle)
  return jnp.where((is_ball | is_paddle)[..., None], jnp.uint8(255), pixels)


def reset(key: Key[Array, ""]) -> tuple[State, UInt8[Array, "10 10 1"]]:
  """The ball somewhere in the top row, the paddle in the middle."""
  column = jax.random.randint(key, (), 0, SIZE)
  state = State(jnp.int32(0), column, jnp.int32(SIZE // 2))
  return state, observe(state)


def step(key: Key[Array, ""], state: State, action: Int[Array, ""]) -> Transition:
  """Actions 0, 1, 2 move the paddle left, not at all, right."""
  del key
  paddle = jnp.clip(state.paddle + action - 1, 0, SIZE - 1)
  state = State(state.row + 1, state.column, paddle)
  is_down = state.row >= STEPS
  reward = jnp.where(is_down, jnp.where(state.paddle == state.column, 1.0, -1.0), 0.0)
  return Transition(state, observe(state), reward, jnp.where(is_down, 0.0, 1.0), is_down)


def draw(state: State) -> Float[Array, "height width 3"]:
  """The observation in grey, each pixel eight by eight."""
  grey = observe(state).astype(float) / 255
  return jnp.tile(jnp.repeat(jnp.repeat(grey, 8, 0), 8, 1), (1, 1, 3))


environment = Environment(reset, step, draw, ("left", "stay", "right"), STEPS)
