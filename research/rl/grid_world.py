"""A grid world: cells, walls, pits and a goal; a step may slip to the side.

As in Sutton and Barto 2018, chapters 3 and 4, and gymnasium's FrozenLake. It is small enough for a
transition table, so that value iteration gives the exact values that learning must find.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.rl.environment import Environment, Transition

ACTIONS = ("up", "right", "down", "left")
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
START, FLOOR, WALL, PIT, GOAL = "S", ".", "#", "X", "G"


class World(NamedTuple):
  """A grid world as tables; cells are numbered row by row.

  Attributes:
    lines: the map: "S" start, "." floor, "#" wall, "X" pit (-1, over), "G" goal (+1, over).
    chance: probability of the next cell, [cell, action, next cell].
    reward: for entering a cell, [cell].
    is_end: whether the episode ends in a cell, [cell].
    start: the cell of the start.
  """

  lines: tuple[str, ...]
  chance: np.ndarray
  reward: np.ndarray
  is_end: np.ndarray
  start: int

  @property
  def shape(self) -> tuple[int, int]:
    """Rows and columns."""
    return len(self.lines), len(self.lines[0])

  @property
  def free_cells(self) -> np.ndarray:
    """The numbers of the cells in which an action can be taken: start and floor."""
    return np.flatnonzero(np.isin(list("".join(self.lines)), [START, FLOOR]))


def world(lines: tuple[str, ...], slip: float) -> World:
  """Makes the tables of a map; with probability `slip` a move goes to one of both sides instead.

  Raises ValueError where the lines differ in length, or there is not exactly one start.
  """
  cells = "".join(lines)
  if len({len(line) for line in lines}) != 1 or cells.count(START) != 1:
    raise ValueError(f"a map has lines of one length and one start, not {lines}")
  rows, columns = len(lines), len(lines[0])

  def moved(cell: int, action: int) -> int:
    row, column = np.array(divmod(cell, columns)) + MOVES[action % 4]
    inside = 0 <= row < rows and 0 <= column < columns
    return int(row * columns + column) if inside and lines[row][column] != WALL else cell

  chance = np.zeros((len(cells), 4, len(cells)))
  for cell in range(len(cells)):
    for action in range(4):
      for turn, share in ((0, 1 - slip), (1, slip / 2), (-1, slip / 2)):
        chance[cell, action, moved(cell, action + turn)] += share
  letters = np.array(list(cells))
  reward = (letters == GOAL) * 1.0 - (letters == PIT) * 1.0
  return World(lines, chance, reward, np.isin(letters, [PIT, GOAL]), cells.index(START))


class State(NamedTuple):
  """The cell, and the steps so far."""

  cell: Int[Array, ""]
  time: Int[Array, ""]


def environment(
  world: World, max_episode_steps: int, *, starts_anywhere: bool = False
) -> Environment:
  """Makes the environment whose observation is the number of the cell.

  Args:
    world: its tables.
    max_episode_steps: steps after which an episode is truncated.
    starts_anywhere: whether episodes begin in any floor cell ("exploring starts") or at the start.
  """
  # The cumulative probability of the last reachable cell is 1, whatever the rounding.
  cumulative = np.cumsum(world.chance, axis=-1)
  bounds = jnp.asarray(np.where(cumulative > 1 - 1e-9, 1.0, cumulative))
  reward, is_end = jnp.asarray(world.reward), jnp.asarray(world.is_end)
  starts = jnp.asarray(world.free_cells if starts_anywhere else [world.start])

  def reset(key: Key[Array, ""]) -> tuple[State, Int[Array, ""]]:
    cell = starts[jax.random.randint(key, (), 0, len(starts))]
    return State(cell, jnp.int32(0)), cell

  def step(key: Key[Array, ""], state: State, action: Int[Array, ""]) -> Transition:
    drawn = jax.random.uniform(key)
    cell = jnp.sum(bounds[state.cell, action] <= drawn, dtype=state.cell.dtype)
    time = state.time + 1
    is_terminal = is_end[cell]
    return Transition(
      State(cell, time),
      cell,
      reward[cell],
      jnp.where(is_terminal, 0.0, 1.0),
      is_terminal | (time >= max_episode_steps),
    )

  shades = {START: 0.85, FLOOR: 1.0, WALL: 0.2, PIT: 0.0, GOAL: 0.6}
  grey = jnp.asarray([[shades[letter] for letter in line] for line in world.lines])

  def draw(state: State) -> Float[Array, "height width 3"]:
    is_agent = (jnp.arange(grey.size) == state.cell).reshape(grey.shape)
    picture = jnp.where(is_agent[..., None], jnp.array([0.84, 0.37, 0.0]), grey[..., None])
    return jnp.repeat(jnp.repeat(picture, 12, 0), 12, 1)

  return Environment(reset, step, draw, ACTIONS, max_episode_steps)


def optimal_values(world: World, discount: float, tolerance: float = 1e-10) -> np.ndarray:
  """Q*[cell, action] by value iteration (Sutton and Barto 2018, section 4.4)."""
  q = np.zeros(world.chance.shape[:2])
  while True:
    v = np.where(world.is_end, 0.0, q.max(axis=1))
    new = world.chance @ (world.reward + discount * v)
    new[world.is_end] = 0.0
    if np.max(np.abs(new - q)) < tolerance:
      return new
    q = new
