"""MinAtar's five games (Young and Tian 2019) through pgx, under the paper's rules.

Sticky actions (with probability 0.1 the previous action is repeated), the full set of six actions,
no limit of steps in training. MinAtar and pgx's games are under the GPL-3: this module needs
`pip install pgx` and copies nothing.
"""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from research.errors import UserError, unknown_name
from research.rl.environment import Environment, Transition

GAMES = {
  "asterix": "MinAtarAsterix",
  "breakout": "MinAtarBreakout",
  "freeway": "MinAtarFreeway",
  "seaquest": "MinAtarSeaquest",
  "space_invaders": "MinAtarSpaceInvaders",
}
# Returns of the paper's DQN in training, read off its figure 2.
PAPER_FRAMES = 5_000_000
PAPER = {
  "asterix": 17.0,
  "breakout": 10.0,
  "freeway": 50.0,
  "seaquest": 20.0,
  "space_invaders": 44.0,
}
ACTIONS = ("none", "left", "up", "right", "down", "fire")
STICKY = 0.1
MAX_EVALUATION_STEPS = 10_000  # as in the paper, training has no limit
# One colour per channel, distinct in grey too; the last channels are drawn on top.
COLOURS = np.array(
  [
    (0.35, 0.70, 0.90),
    (0.90, 0.60, 0.00),
    (0.00, 0.45, 0.70),
    (0.00, 0.62, 0.45),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
    (0.94, 0.89, 0.26),
    (0.60, 0.60, 0.60),
    (1.00, 1.00, 1.00),
    (0.45, 0.30, 0.10),
  ]
)


@functools.cache
def environment(game: str) -> Environment:
  """Makes one of `GAMES`; its observation is bytes [10, 10, channel], 0 or 255.

  Raises:
    UserError: where there is no such game, or pgx is not installed.
  """
  if game not in GAMES:
    raise UserError(unknown_name(game, GAMES, "MinAtar game"))
  # pgx makes arrays while it is imported: inside of a trace they would be tracers, kept for ever.
  with jax.ensure_compile_time_eval():
    try:
      module = importlib.import_module(f"pgx.minatar.{game}")
    except ImportError as error:
      raise UserError(
        f"MinAtar's {game} needs the package pgx ({error}); install it with: pip install -e '.[rl]'"
      ) from error
    rules = getattr(module, GAMES[game])(use_minimal_action_set=False, sticky_action_prob=STICKY)

  def pixels(state: Any) -> UInt8[Array, "10 10 channel"]:
    return state.observation.astype(jnp.uint8) * jnp.uint8(255)

  def reset(key: Key[Array, ""]) -> tuple[Any, UInt8[Array, "10 10 channel"]]:
    state = rules.init(key)
    return state, pixels(state)

  def step(key: Key[Array, ""], state: Any, action: Int[Array, ""]) -> Transition:
    state = rules.step(state, action, key)
    over = state.terminated | state.truncated
    return Transition(
      state, pixels(state), state.rewards[0], jnp.where(state.terminated, 0.0, 1.0), over
    )

  def draw(state: Any) -> Float[Array, "height width 3"]:
    picture = jnp.zeros((10, 10, 3))
    for channel in range(state.observation.shape[-1]):
      shown = state.observation[..., channel, None]
      picture = jnp.where(shown, jnp.asarray(COLOURS[channel]), picture)
    return jnp.repeat(jnp.repeat(picture, 8, 0), 8, 1)

  return Environment(reset, step, draw, ACTIONS, MAX_EVALUATION_STEPS)
