"""The replay memory as pure functions on arrays that are allocated once.

A ring buffer: time runs along the first axis, environments along the second. Each frame is stored
once, as bytes where it is bytes; stacks of frames and n-step returns are put together when they are
sampled. `is_first` and `is_truncated` mark where episodes meet, and nothing is ever put together
across such a boundary.

Large frames are stored flat and filled up to a multiple of `LINE`. As images [84, 84, 1] a TPU
would lay them out with time as the minor dimension, and copy the whole memory in every step.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

LINE = 128  # elements that a TPU keeps side by side
LARGE = 1024  # elements of a frame that is stored flat


class Rows(NamedTuple):
  """Time steps of experience, [time, env].

  Attributes:
    frame: the observation s_t, a single frame; in the memory as `stored_shape` says.
    action: a_t, taken there; meaningless where `is_truncated`.
    reward: that followed.
    nonterminal: False where the action ended the episode (or the life).
    is_first: whether the frame begins an episode.
    is_truncated: whether the frame is the last of a truncated episode.
  """

  frame: Array
  action: Int[Array, "time env"]
  reward: Float[Array, "time env"]
  nonterminal: Bool[Array, "time env"]
  is_first: Bool[Array, "time env"]
  is_truncated: Bool[Array, "time env"]


class Memory(NamedTuple):
  """The ring of rows, and how many rows were ever written."""

  rows: Rows
  written: Int[Array, ""]


class Transitions(NamedTuple):
  """A batch to learn from; `weight` is 0 where there was no transition (`is_truncated`), else 1."""

  s_tm1: Array
  a_tm1: Int[Array, " batch"]
  r_t: Float[Array, " batch"]
  discount_t: Float[Array, " batch"]
  s_t: Array
  weight: Float[Array, " batch"]


class Indices(NamedTuple):
  """Transitions in the memory: the row's number since the first ever written, the environment."""

  row: Int[Array, " batch"]
  env: Int[Array, " batch"]


def stored_shape(frame: tuple[int, ...]) -> tuple[int, ...]:
  """The shape in which the memory holds a frame: its own, or flat where it is large."""
  size = math.prod(frame)
  return frame if size < LARGE else (math.ceil(size / LINE) * LINE,)


def _stored(frames: Array) -> Array:
  """Frames [time, env, ...] in the form in which the memory holds them."""
  lead, shape = frames.shape[:2], frames.shape[2:]
  if stored_shape(shape) == shape:
    return frames
  flat = frames.reshape(*lead, -1)
  return jnp.pad(flat, ((0, 0), (0, 0), (0, stored_shape(shape)[0] - flat.shape[-1])))


def _restored(frames: Array, shape: tuple[int, ...]) -> Array:
  """Frames [batch, ...] of the memory in their own shape."""
  if stored_shape(shape) == shape:
    return frames
  return frames[:, : math.prod(shape)].reshape(-1, *shape)


def empty(rows: int, num_envs: int, frame: jax.ShapeDtypeStruct) -> Memory:
  """A memory for `rows` time steps of each environment."""
  shape = (rows, num_envs)
  no = jnp.zeros(shape, bool)
  return Memory(
    Rows(
      jnp.zeros((*shape, *stored_shape(frame.shape)), frame.dtype),
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
  """Writes rows over the oldest; their number must divide the ring's, so that none wraps around."""
  slot = memory.written % capacity(memory)
  rows = jax.tree.map(
    lambda ring, rows: jax.lax.dynamic_update_slice_in_dim(ring, rows, slot, 0),
    memory.rows,
    new._replace(frame=_stored(new.frame)),
  )
  return Memory(rows, memory.written + new.action.shape[0])


def oldest(memory: Memory, frame_stack: int) -> Int[Array, ""]:
  """Number of the oldest row whose stack of frames is complete."""
  return jnp.maximum(0, memory.written - capacity(memory) + frame_stack - 1)


def uniform(
  memory: Memory, key: Key[Array, ""], size: int, *, n_step: int, frame_stack: int
) -> Indices:
  """Samples uniformly among the rows that `n_step` others follow."""
  first = oldest(memory, frame_stack)
  count = jnp.maximum(memory.written - n_step - first, 1)
  num_envs = memory.rows.action.shape[1]
  drawn = jax.random.randint(key, (size,), 0, count * num_envs)
  return Indices(first + drawn // num_envs, drawn % num_envs)


def latest(memory: Memory, size: int, *, n_step: int) -> Indices:
  """The newest transitions, without replay: those of the last rows that `n_step` others follow."""
  num_envs = memory.rows.action.shape[1]
  newest_first = jnp.arange(size)
  row = memory.written - n_step - 1 - newest_first // num_envs
  return Indices(jnp.maximum(row, 0), newest_first % num_envs)


def transitions(
  memory: Memory,
  indices: Indices,
  frame: tuple[int, ...],
  *,
  n_step: int,
  frame_stack: int,
  discount: float | Float[Array, ""],
) -> Transitions:
  """Builds transitions of up to `n_step` steps.

  With discount g, the reward is r_1 + g r_2 + ... + g^(n-1) r_n and the discount g^n (Sutton 1988).
  Both stop early where the episode ends: after a terminal step the discount is 0; in a truncated
  episode they reach to its last observation. `frame` is the shape of one.
  """
  rows, env = indices
  ahead = (rows[:, None] + jnp.arange(n_step)[None]) % capacity(memory)
  reward, nonterminal, is_truncated = (
    part[ahead, env[:, None]]
    for part in (memory.rows.reward, memory.rows.nonterminal, memory.rows.is_truncated)
  )
  # Step k counts where no terminal step lies before it and no truncation at or before it.
  before = jnp.concatenate([jnp.ones_like(nonterminal[:, :1]), nonterminal[:, :-1]], axis=1)
  counts = jnp.cumprod(before & ~is_truncated, axis=1).astype(reward.dtype)
  steps = counts.sum(axis=1)
  powers = discount ** jnp.arange(n_step, dtype=reward.dtype)
  r_t = (counts * reward) @ powers
  is_terminal = jnp.any((counts > 0) & ~nonterminal, axis=1)
  after = rows + steps.astype(rows.dtype)
  return Transitions(
    stacked(memory, Indices(rows, env), frame, frame_stack),
    memory.rows.action[rows % capacity(memory), env],
    r_t,
    jnp.where(is_terminal, 0.0, discount**steps),
    # s_t of a terminal step has discount 0; s_tm1 is read in its place, which surely was written.
    stacked(memory, Indices(jnp.where(is_terminal, rows, after), env), frame, frame_stack),
    counts[:, 0],
  )


def stacked(memory: Memory, indices: Indices, shape: tuple[int, ...], frame_stack: int) -> Array:
  """The last `frame_stack` frames at each index along the last axis; 0 before the episode began.

  Frames are of this `shape`.
  """
  rows, env = indices
  slots = rows % capacity(memory)
  frames = [_restored(memory.rows.frame[slots, env], shape)]
  is_same_episode = ~memory.rows.is_first[slots, env]
  for back in range(1, frame_stack):
    slots = (rows - back) % capacity(memory)
    frame = _restored(memory.rows.frame[slots, env], shape)
    mask = is_same_episode.reshape(-1, *(1,) * (frame.ndim - 1))
    frames.insert(0, jnp.where(mask, frame, jnp.zeros_like(frame)))
    is_same_episode &= ~memory.rows.is_first[slots, env]
  return jnp.concatenate(frames, axis=-1)


def first_stack(frame: Array, frame_stack: int) -> Array:
  """The stack of frames when an episode begins: zeros, then the first frame [..., channel]."""
  missing = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * (frame_stack - 1)), frame.dtype)
  return jnp.concatenate([missing, frame], axis=-1)


def push(stack: Array, frame: Array, is_first: Bool[Array, ""]) -> Array:
  """Drops the oldest frame of a stack and appends the newest; a first frame follows zeros."""
  kept = jnp.where(is_first, jnp.zeros_like(stack), stack)[..., frame.shape[-1] :]
  return jnp.concatenate([kept, frame], axis=-1)
