"""The replay memory as pure functions on arrays that are allocated once.

Time runs along the first axis, in a ring; the environments stand side by side along the second.
Each frame is stored once, as bytes where it is bytes; what the agent saw (a stack of frames) and n
steps of reward are put together when they are sampled. `is_first` and `is_cut` mark where episodes
meet, and nothing is ever put together across such a place.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


class Rows(NamedTuple):
  """Time steps of experience, [time, environment].

  Attributes:
    frame: what was seen.
    action: what was done then; counts nothing where `is_cut`.
    reward: what that brought.
    goes_on: False where it ended the episode (or the life).
    is_first: whether the frame begins an episode.
    is_cut: whether the frame is the last of an episode that was cut off.
  """

  frame: Array
  action: Int[Array, "time env"]
  reward: Float[Array, "time env"]
  goes_on: Bool[Array, "time env"]
  is_first: Bool[Array, "time env"]
  is_cut: Bool[Array, "time env"]


class Memory(NamedTuple):
  """The ring of rows, and how many rows were ever written."""

  rows: Rows
  written: Int[Array, ""]


class Transitions(NamedTuple):
  """A batch to learn from; `weight` is 0 where there was no transition (`is_cut`), else 1."""

  s_tm1: Array
  a_tm1: Int[Array, " batch"]
  r_t: Float[Array, " batch"]
  discount_t: Float[Array, " batch"]
  s_t: Array
  weight: Float[Array, " batch"]


class Places(NamedTuple):
  """Transitions in the memory: the running number of a row, and the environment."""

  row: Int[Array, " batch"]
  environment: Int[Array, " batch"]


def empty(rows: int, environments: int, frame: jax.ShapeDtypeStruct) -> Memory:
  """A memory for `rows` moments of each environment."""
  shape = (rows, environments)
  no = jnp.zeros(shape, bool)
  return Memory(
    Rows(
      jnp.zeros((*shape, *frame.shape), frame.dtype),
      jnp.zeros(shape, jnp.int32),
      jnp.zeros(shape),
      no,
      no.copy(),
      no.copy(),
    ),
    jnp.int32(0),
  )


def capacity(memory: Memory) -> int:
  """Rows that the ring holds."""
  return memory.rows.action.shape[0]


def write(memory: Memory, new: Rows) -> Memory:
  """Adds rows over the oldest; their number must divide the ring's, so that none is split."""
  slot = memory.written % capacity(memory)
  rows = jax.tree.map(
    lambda ring, rows: jax.lax.dynamic_update_slice_in_dim(ring, rows, slot, 0), memory.rows, new
  )
  return Memory(rows, memory.written + new.action.shape[0])


def oldest(memory: Memory, stack: int) -> Int[Array, ""]:
  """Number of the oldest row whose stack of frames is whole."""
  return jnp.maximum(0, memory.written - capacity(memory) + stack - 1)


def uniform(memory: Memory, key: Key[Array, ""], size: int, *, n_step: int, stack: int) -> Places:
  """Places drawn evenly among those with `n_step` rows behind them."""
  first = oldest(memory, stack)
  count = jnp.maximum(memory.written - n_step - first, 1)
  environments = memory.rows.action.shape[1]
  drawn = jax.random.randint(key, (size,), 0, count * environments)
  return Places(first + drawn // environments, drawn % environments)


def latest(memory: Memory, size: int, *, n_step: int) -> Places:
  """The newest places, without replay: those of the last rows that have `n_step` behind them."""
  environments = memory.rows.action.shape[1]
  newest_first = jnp.arange(size)
  row = memory.written - n_step - 1 - newest_first // environments
  return Places(jnp.maximum(row, 0), newest_first % environments)


def transitions(
  memory: Memory,
  places: Places,
  *,
  n_step: int,
  stack: int,
  discount: float | Float[Array, ""],
) -> Transitions:
  """Puts transitions of up to `n_step` steps together.

  The reward is r_1 + g r_2 + ... + g^(n-1) r_n, and the discount g^n; both stop early where the
  episode ends: at its own end the discount is 0, at a cut they reach to the last observation.
  """
  rows, environment = places
  ahead = (rows[:, None] + jnp.arange(n_step)[None]) % capacity(memory)
  reward, goes_on, is_cut = (
    part[ahead, environment[:, None]]
    for part in (memory.rows.reward, memory.rows.goes_on, memory.rows.is_cut)
  )
  # Step k counts where neither an end lies before it nor a cut at or before it.
  before = jnp.concatenate([jnp.ones_like(goes_on[:, :1]), goes_on[:, :-1]], axis=1)
  counts = jnp.cumprod(before & ~is_cut, axis=1).astype(reward.dtype)
  steps = counts.sum(axis=1)
  powers = discount ** jnp.arange(n_step, dtype=reward.dtype)
  r_t = (counts * reward) @ powers
  ends = jnp.any((counts > 0) & ~goes_on, axis=1)
  after = rows + steps.astype(rows.dtype)
  return Transitions(
    stacked(memory, Places(rows, environment), stack),
    memory.rows.action[rows % capacity(memory), environment],
    r_t,
    jnp.where(ends, 0.0, discount**steps),
    # Behind an end nothing counts; the row itself is read, to stay inside of what was written.
    stacked(memory, Places(jnp.where(ends, rows, after), environment), stack),
    counts[:, 0],
  )


def stacked(memory: Memory, places: Places, stack: int) -> Array:
  """The last `stack` frames at each place along the last axis; black before the episode began."""
  rows, environment = places
  slots = rows % capacity(memory)
  frames = [memory.rows.frame[slots, environment]]
  is_same_episode = ~memory.rows.is_first[slots, environment]
  for back in range(1, stack):
    slots = (rows - back) % capacity(memory)
    frame = memory.rows.frame[slots, environment]
    mask = is_same_episode.reshape(-1, *(1,) * (frame.ndim - 1))
    frames.insert(0, jnp.where(mask, frame, jnp.zeros_like(frame)))
    is_same_episode &= ~memory.rows.is_first[slots, environment]
  return jnp.concatenate(frames, axis=-1)


def push(stack: Array, frame: Array, is_first: Bool[Array, ""]) -> Array:
  """Shifts the frame stack: the oldest frame leaves, the newest enters; at first, all is new."""
  kept = jnp.where(is_first, jnp.zeros_like(stack), stack)[..., frame.shape[-1] :]
  return jnp.concatenate([kept, frame], axis=-1)
