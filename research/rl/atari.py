"""Atari 2600 games from pixels through ale-py, as an environment like every other.

The emulator is a pure function of (its whole state as bytes, action), called by
`jax.pure_callback`; the bytes are part of the learner's state. So a checkpoint holds the games too,
and a resumed run is equal to the byte. Emulators are kept between calls only to save restoring a
state in which they are already.

Preprocessing is that of Mnih et al. 2015, Methods: actions repeated for 4 frames, the maximum of
the last two, luminance, 84 by 84 (stacks of four, clipped rewards and epsilon are the agent's). A
lost life ends the return, the end of the game the episode; up to 30 no-op frames come first; no
sticky actions; the game's own minimal set of actions; an evaluation stops after 5 minutes of play.
In training an episode is truncated after 30 minutes.

ale-py and its ROMs are under the GPL-2: `pip install ale-py`; nothing of it is copied here.
"""

import functools
import io
import pickle
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8
from PIL import Image

from research.errors import UserError, unknown_name
from research.rl.environment import Environment, Transition

ACTION_REPEATS = 4  # frames for which an action is held
SIZE = 84  # pixels on a side
MAX_NOOPS = 30  # frames without an action before an episode
MAX_EPISODE_STEPS = 27_000  # agent's steps of an episode: half an hour at 60 frames a second
MAX_EVALUATION_STEPS = 4_500  # five minutes
# ale-py lists these, but ends the process that loads one.
TWO_PLAYER = ("combat", "joust", "maze_craze", "warlords")
STATE_BYTES = 2**14  # room for an emulator's state; about 14,500 are used


class State(NamedTuple):
  """The emulator's state (4 bytes of length, then the state), the screen, lives, and steps."""

  emulator: UInt8[Array, " bytes"]
  frame: UInt8[Array, "84 84 1"]
  lives: Int[Array, ""]
  time: Int[Array, ""]


class Emulator:
  """An emulator on the host, and the state it is in."""

  def __init__(self, game: str):
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    self._ale = ale_py.ALEInterface()
    self._ale.setFloat("repeat_action_probability", 0.0)
    self._ale.setInt("random_seed", 0)
    if game in TWO_PLAYER:
      raise UserError(
        f"{game} is a game for two players, which this agent cannot play; name another --game"
      )
    known = sorted(set(ale_py.roms.get_all_rom_ids()) - set(TWO_PLAYER))
    rom = ale_py.roms.get_rom_path(game) if game in known else None
    if rom is None:
      raise UserError(unknown_name(game, known, "Atari game"))
    self._ale.loadROM(rom)
    self._at: bytes | None = None
    self.actions = self._ale.getMinimalActionSet()

  def starts(self) -> tuple[np.ndarray, np.ndarray, int]:
    """States [30, bytes] and frames [30, 84, 84, 1] after 1 to 30 no-op frames; the lives."""
    self._ale.reset_game()
    states, frames = [], []
    for _ in range(MAX_NOOPS):
      self._ale.act(0)
      frames.append(preprocess(self._ale.getScreenRGB()))
      states.append(self._save())
    return np.stack(states), np.stack(frames), self._ale.lives()

  def step(self, state: np.ndarray, action: int) -> tuple[np.ndarray, np.ndarray, float, int, bool]:
    """Four frames: (state, frame, reward, lives, whether the game is over)."""
    if self._at != state.tobytes():
      length = int(state[:4].view(np.uint32)[0])
      self._ale.restoreSystemState(pickle.load(io.BytesIO(state[4 : 4 + length].tobytes())))
    reward, screens = 0.0, []
    for number in range(ACTION_REPEATS):
      reward += self._ale.act(self.actions[action])
      if number >= ACTION_REPEATS - 2:
        screens.append(self._ale.getScreenRGB())
    frame = preprocess(np.maximum(*screens))
    return self._save(), frame, reward, self._ale.lives(), self._ale.game_over()

  def _save(self) -> np.ndarray:
    saved = np.frombuffer(pickle.dumps(self._ale.cloneSystemState()), np.uint8)
    if len(saved) > STATE_BYTES - 4:
      raise ValueError(f"an emulator's state has {len(saved)} bytes; raise atari.STATE_BYTES")
    state = np.zeros(STATE_BYTES, np.uint8)
    state[:4] = np.array([len(saved)], np.uint32).view(np.uint8)
    state[4 : 4 + len(saved)] = saved
    self._at = state.tobytes()
    return state


def preprocess(screen: np.ndarray) -> np.ndarray:
  """Luminance of a screen [210, 160, 3], scaled to [84, 84, 1] bytes."""
  grey = Image.fromarray(screen).convert("L")  # 0.299 R + 0.587 G + 0.114 B
  return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR))[..., None]


@functools.cache
def emulators(game: str) -> list[Emulator]:
  """Returns the emulators of one game; more are added to the list as they are needed.

  Raises:
    UserError: where ale-py is not installed, or has no such game for one.
  """
  try:
    return [Emulator(game)]
  except ImportError as error:
    raise UserError(
      f"Atari's {game} needs the package ale-py ({error}); install it with: pip install -e '.[rl]'"
    ) from error


@functools.cache
def environment(game: str) -> Environment:
  """Makes a game by the name of its ROM, such as "pong"; observations are bytes [84, 84, 1].

  Raises:
    UserError: as `emulators`.
  """
  pool = emulators(game)
  states, frames, lives = pool[0].starts()
  in_use = threading.Lock()

  def on_host(state: Array, action: Array) -> tuple[np.ndarray, ...]:
    # Under vmap all calls arrive as one, with the mapped axes in front.
    lanes, flat = action.shape, np.asarray(state).reshape(-1, STATE_BYTES)
    with in_use:  # programs on several devices call at once
      while len(pool) < len(flat):
        pool.append(Emulator(game))
      taken = [
        emulator.step(one, int(act))
        for emulator, one, act in zip(pool, flat, np.asarray(action).reshape(-1), strict=False)
      ]
    parts = zip(*taken, strict=True)
    kinds = (np.uint8, np.uint8, np.float32, np.int32, np.bool_)
    arrays: list[np.ndarray] = [
      np.asarray(part, kind) for part, kind in zip(parts, kinds, strict=True)
    ]
    return tuple(array.reshape((*lanes, *array.shape[1:])) for array in arrays)

  shapes = tuple(
    jax.ShapeDtypeStruct(shape, kind)
    for shape, kind in (
      ((STATE_BYTES,), jnp.uint8),
      ((SIZE, SIZE, 1), jnp.uint8),
      ((), jnp.float32),
      ((), jnp.int32),
      ((), jnp.bool_),
    )
  )

  def reset(key: Key[Array, ""]) -> tuple[State, UInt8[Array, "84 84 1"]]:
    noops = jax.random.randint(key, (), 0, MAX_NOOPS)
    frame = jnp.asarray(frames)[noops]
    return State(jnp.asarray(states)[noops], frame, jnp.int32(lives), jnp.int32(0)), frame

  def step(key: Key[Array, ""], state: State, action: Int[Array, ""]) -> Transition:
    del key
    emulator, frame, reward, left, is_over = jax.pure_callback(
      on_host, shapes, state.emulator, action, vmap_method="broadcast_all"
    )
    time = state.time + 1
    return Transition(
      State(emulator, frame, left, time),
      frame,
      reward,
      jnp.where(is_over | (left < state.lives), 0.0, 1.0),
      is_over | (time >= MAX_EPISODE_STEPS),
    )

  def draw(state: State) -> Float[Array, "height width 3"]:
    return jnp.tile(state.frame.astype(float) / 255, (1, 1, 3))

  names = tuple(action.name.lower() for action in pool[0].actions)
  return Environment(reset, step, draw, names, MAX_EVALUATION_STEPS)
