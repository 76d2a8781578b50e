"""Any gymnasium environment with discrete actions, by its registered name.

Gymnasium's environments are objects that in general cannot be saved. The learner's state holds what
determines them: the seed of the episode's reset and the actions since, a "position" below. A step
calls them by `jax.pure_callback`; the host keeps environments between calls only to save work, and
where none is at the position (after a resume, say) it resets one and replays the actions. So a step
is a pure function and a checkpoint holds the games, as with Atari's emulators
(`research/rl/atari.py`). It is exact for environments that are deterministic given the seed of
their reset, as gymnasium's are; those that are registered as nondeterministic are refused.

In gymnasium (Towers et al. 2024) a terminated episode has discount 0; one that is only truncated,
as by the registered limit of steps (`MAX_EPISODE_STEPS` where there is none), has discount 1.

    pip install -e '.[rl]'
"""

import functools
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt, UInt32
from PIL import Image

from research.errors import UserError, unknown_name
from research.rl.environment import Environment, Observation, Transition

MAX_EPISODE_STEPS = 1_000  # where the registration has no limit
MIN_KEPT = 256  # environments made on the host before the least recently used one is taken again
MAX_HEIGHT = 150  # rows of a drawn picture

# Draws without a screen or sound card, and without pygame's greeting.
QUIET = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}

Position = tuple[int, bytes]  # the seed of the reset, and the actions since


class State(NamedTuple):
  """The seed of the episode's reset, its actions (the first `time` of them), whether it is over.

  A step after the end changes nothing, and calls no environment.
  """

  seed: UInt32[Array, ""]
  actions: UInt[Array, " longest"]
  time: Int[Array, ""]
  is_over: Bool[Array, ""]


class Observations(NamedTuple):
  """Shape and type of observations; `array` copies one, since environments may reuse a buffer."""

  shape: tuple[int, ...]
  dtype: Any
  array: Callable[[Any], np.ndarray]


class Host:
  """Environments of one kind by their positions; several may share one.

  Threads may share the host, since an environment in use is taken out. Environments live as long as
  the process, like the compiled programs that call them.
  """

  def __init__(self, make: Callable[[], Any], actions: np.dtype, first_action: int):
    self._make = make
    self._actions = actions
    self._first_action = first_action
    self._lock = threading.Lock()
    self._at: dict[Position, list[Any]] = {}  # the position reached last comes last
    self._idle: list[Any] = []  # their episodes are over
    self._made, self._max_made = 0, MIN_KEPT

  def expect(self, lanes: int) -> None:
    """Makes room for that many environments used side by side."""
    self._max_made = max(self._max_made, 2 * lanes)

  def reset(self, seed: int) -> Any:
    """The first observation of an episode."""
    environment = self._spare()
    observation, _ = environment.reset(seed=seed)
    self._put((seed, b""), environment)
    return observation

  def step(self, position: Position, action: int) -> tuple[Any, float, bool, bool]:
    """Observation, reward, terminated, truncated."""
    environment = self._reach(position)
    observation, reward, terminated, truncated, _ = self._act(environment, action)
    if terminated or truncated:
      self._idle.append(environment)
    else:
      seed, actions = position
      self._put((seed, actions + self._actions.type(action).tobytes()), environment)
    return observation, float(reward), bool(terminated), bool(truncated)

  def draw(self, position: Position) -> np.ndarray:
    """The picture at a position; the environments must have been made with a render mode."""
    environment = self._reach(position)
    picture = environment.render()
    self._put(position, environment)
    return picture

  def _reach(self, position: Position) -> Any:
    """Returns an environment at the position, from there or one action before, or replayed anew."""
    seed, actions = position
    for start in (actions, actions[: -self._actions.itemsize]):
      environment = self._take((seed, start))
      if environment is not None:
        break
    else:
      environment, start = self._spare(), b""
      environment.reset(seed=seed)
    for action in np.frombuffer(actions[len(start) :], self._actions):
      self._act(environment, action)
    return environment

  def _act(self, environment: Any, action: int | np.integer) -> tuple:
    return environment.step(self._first_action + int(action))

  def _put(self, position: Position, environment: Any) -> None:
    with self._lock:
      self._at[position] = [*self._at.pop(position, ()), environment]

  def _take(self, position: Position) -> Any | None:
    with self._lock:
      there = self._at.pop(position, [])
      if len(there) > 1:
        self._at[position] = there[:-1]
      return there[-1] if there else None

  def _spare(self) -> Any:
    """An environment whose episode is over, a new one, or the least recently used of many."""
    with self._lock:
      if self._idle:
        return self._idle.pop()
      oldest = next(iter(self._at), None)
      if self._made < self._max_made or oldest is None:
        self._made += 1
        oldest = None
    found = self._take(oldest) if oldest else None
    return self._make() if found is None else found


def registration(name: str) -> Any:
  """Gymnasium's entry of a name, which may be "module:name" where a module must be imported first.

  Raises:
    UserError: where gymnasium is not installed or has no such entry, or the module is not there.
  """
  for variable, value in QUIET.items():
    os.environ.setdefault(variable, value)
  try:
    import gymnasium
  except ImportError as error:
    raise UserError(
      f"{name} needs the package gymnasium ({error}); install it with: pip install -e '.[rl]'"
    ) from error
  module, _, entry = name.rpartition(":")
  try:
    if module:
      importlib.import_module(module)
  except ImportError as error:
    raise UserError(f"{name}: {error}; install what brings the module {module}") from error
  if entry not in gymnasium.registry:
    unknown = unknown_name(entry, gymnasium.registry, "gymnasium environment")
    raise UserError(f"{unknown}{'' if module else ' (those of other packages: package:name)'}")
  return gymnasium.registry[entry]


def threshold(name: str) -> float | None:
  """The return at which the environment counts as solved, where its registration says so."""
  return registration(name).reward_threshold


@functools.cache
def can_draw(name: str) -> bool:
  """Tells whether the environment can be drawn."""
  sample = _make(name)
  modes = sample.metadata.get("render_modes", ())
  sample.close()
  return "rgb_array" in modes


@functools.cache
def environment(name: str) -> Environment:
  """Makes an environment. Its observations are vectors (float32, or one-hot bytes of 0 and 255 for
  a discrete space) or images (bytes [height, width, channel]).

  Raises:
    UserError: as `registration`; where a package that it needs is missing, to act or to draw;
      where its actions are not discrete, or its observations none of the above.
  """
  spec = registration(name)
  if spec.nondeterministic:
    raise UserError(f"{name} is registered as nondeterministic: its episodes cannot be replayed")
  sample = _make(name)
  space = sample.action_space
  if type(space).__name__ != "Discrete":
    raise UserError(
      f"{name} has the actions {_words(space)}; the agent chooses one of some, so they must be "
      "Discrete"
    )
  observations = _observations(name, sample.observation_space)
  sample.close()
  limit = spec.max_episode_steps or MAX_EPISODE_STEPS
  kind = np.min_scalar_type(int(space.n) - 1)
  first = int(space.start)
  host = Host(lambda: _make(name), kind, first)
  observed = jax.ShapeDtypeStruct(observations.shape, observations.dtype)
  flag = jax.ShapeDtypeStruct((), jnp.bool_)
  results = (observed, jax.ShapeDtypeStruct((), jnp.float32), flag, flag)
  nothing = np.zeros(observations.shape, observations.dtype)

  def reset_on_host(seed: np.integer, is_needed: np.bool_) -> tuple[np.ndarray]:
    return (observations.array(host.reset(int(seed))) if is_needed else nothing,)

  def step_on_host(
    seed: np.integer, actions: np.ndarray, time: np.integer, is_over: np.bool_, action: np.integer
  ) -> tuple:
    if is_over:
      return nothing, 0.0, True, True
    taken = host.step((int(seed), actions[:time].tobytes()), int(action))
    return observations.array(taken[0]), *taken[1:]

  def reset_if(is_needed: Bool[Array, ""], key: Key[Array, ""]) -> tuple[State, Observation]:
    seed = jax.random.bits(key, dtype=jnp.uint32)
    (observation,) = _on_host(reset_on_host, host.expect, (observed,), seed, is_needed)
    state = State(seed, jnp.zeros(limit, kind), jnp.int32(0), jnp.bool_(False))
    return state, observation

  def step(key: Key[Array, ""], state: State, action: Int[Array, ""]) -> Transition:
    del key  # the reset's seed decides
    seed, actions, time, is_over = state
    observation, reward, terminated, truncated = _on_host(
      step_on_host, host.expect, results, seed, actions, time, is_over, action
    )
    # The limit truncates; after the end the time stands still.
    following = State(
      seed,
      actions.at[time].set(action.astype(kind), mode="drop"),
      jnp.where(is_over, time, time + 1),
      terminated | truncated,
    )
    return Transition(
      following, observation, reward, jnp.where(terminated, 0.0, 1.0), terminated | truncated
    )

  return Environment(
    lambda key: reset_if(jnp.bool_(True), key),
    step,
    _drawing(name, kind, first) if can_draw(name) else lambda state: jnp.zeros((1, 1, 3)),
    tuple(str(number) for number in range(int(space.n))),
    limit,
    reset_if,
  )


def _make(name: str, **options: Any) -> Any:
  """Makes a gymnasium object with a limit of steps; its own errors become one line."""
  spec = registration(name)
  import gymnasium

  limit = spec.max_episode_steps or MAX_EPISODE_STEPS
  try:
    return gymnasium.make(spec, max_episode_steps=limit, disable_env_checker=True, **options)
  except Exception as error:
    raise UserError(f"{name} cannot be made: {_words(error)}") from error


def _observations(name: str, space: Any) -> Observations:
  kind = type(space).__name__
  if kind == "Discrete":
    values = np.arange(space.start, space.start + space.n)
    return Observations(
      (len(values),), np.dtype(np.uint8), lambda value: np.where(values == value, 255, 0)
    )
  if kind == "Box" and len(space.shape) == 1:
    return Observations(space.shape, np.dtype(np.float32), np.array)
  if kind == "Box" and len(space.shape) in (2, 3) and space.dtype == np.uint8:
    shape = (*space.shape, 1)[:3]
    return Observations(shape, np.dtype(np.uint8), lambda image: np.array(image).reshape(shape))
  raise UserError(
    f"{name} shows {_words(space)}; the agent sees a Box that is a vector, a Box of bytes that is "
    "an image, or Discrete: wrap it into one of these"
  )


def _drawing(
  name: str, kind: np.dtype, first_action: int
) -> Callable[[State], Float[Array, "height width 3"]]:
  """Makes `Environment.draw`; a first picture tells the size, or that drawing fails."""
  make = lambda: _make(name, render_mode="rgb_array")
  host = Host(make, kind, first_action)
  host.reset(0)
  try:
    height, width, _ = host.draw((0, b"")).shape
  except Exception as error:
    raise UserError(
      f"{name} cannot be drawn: {_words(error)}; for most it is enough to: pip install -e '.[rl]'"
    ) from error
  rows = min(height, MAX_HEIGHT)
  columns = round(width * rows / height)
  picture = jax.ShapeDtypeStruct((rows, columns, 3), jnp.uint8)

  def draw_on_host(seed: np.integer, actions: np.ndarray, time: np.integer) -> tuple[np.ndarray]:
    large = Image.fromarray(host.draw((int(seed), actions[:time].tobytes())))
    return (np.asarray(large.resize((columns, rows), Image.Resampling.BOX)),)

  def draw(state: State) -> Float[Array, "height width 3"]:
    (pixels,) = _on_host(
      draw_on_host, host.expect, (picture,), state.seed, state.actions, state.time
    )
    return pixels.astype(float) / 255

  return draw


def _on_host(
  one: Callable[..., tuple],
  expect: Callable[[int], None],
  results: tuple[jax.ShapeDtypeStruct, ...],
  *arguments: Array,
) -> tuple[Array, ...]:
  """Calls `one` on the host for each element of the mapped axes; its last argument is a scalar."""

  def lanes(*arguments: Array) -> tuple[np.ndarray, ...]:
    # Under vmap all calls arrive as one, with the mapped axes in front.
    axes = np.shape(arguments[-1])
    flat = [np.asarray(each).reshape(-1, *np.shape(each)[len(axes) :]) for each in arguments]
    expect(len(flat[-1]))
    parts = zip(*(one(*lane) for lane in zip(*flat, strict=True)), strict=True)
    return tuple(
      np.asarray(part, shape.dtype).reshape((*axes, *shape.shape))
      for part, shape in zip(parts, results, strict=True)
    )

  return jax.pure_callback(lanes, results, *arguments, vmap_method="broadcast_all")


def _words(of: object) -> str:
  """The text of an object on one line."""
  return " ".join(str(of).split())
