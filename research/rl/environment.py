"""Environments as two pure functions, and the sequence of episodes in one of them.

Time runs as in Sutton and Barto: an action `a_tm1` in `s_tm1` gives the reward `r_t`, the discount
`discount_t` and the state `s_t`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

State = Any
Observation = Array


class Transition(NamedTuple):
  """The outcome of an action.

  Attributes:
    state: of the environment.
    observation: s_t, as the agent gets it.
    reward: r_t.
    discount: discount_t: 0.0 after a terminal step (the pole has fallen, a life is lost), else 1.0.
    is_last: whether the episode is over. With discount 1.0 it was truncated, and its last
      observation still has a value.
  """

  state: State
  observation: Observation
  reward: Float[Array, ""]
  discount: Float[Array, ""]
  is_last: Bool[Array, ""]


class Environment(NamedTuple):
  """An environment as pure functions; many at once are `vmap` of them.

  Attributes:
    reset: key -> (state, observation).
    step: (key, state, action) -> Transition.
    draw: state -> picture [height, width, 3] in [0, 1].
    actions: what each action is called.
    max_evaluation_steps: steps after which an evaluation stops waiting for the end.
    reset_if: (is_needed, key) -> as `reset` where it is needed, anything elsewhere; for
      environments whose reset is costly. None: `reset` is used.
  """

  reset: Callable[[Key[Array, ""]], tuple[State, Observation]]
  step: Callable[[Key[Array, ""], State, Int[Array, ""]], Transition]
  draw: Callable[[State], Float[Array, "height width 3"]]
  actions: tuple[str, ...]
  max_evaluation_steps: int
  reset_if: Callable[[Bool[Array, ""], Key[Array, ""]], tuple[State, Observation]] | None = None


class Episode(NamedTuple):
  """An environment in the middle of one of a sequence of episodes.

  Attributes:
    state: of the environment.
    observation: s_t.
    is_first: whether s_t begins an episode.
    is_truncated: whether s_t is the last observation of a truncated episode. No action is taken in
      it; the next step begins an episode. (A terminated episode is followed by the next at once,
      since its last observation has no value.)
    episode_return: sum of the rewards of the episode so far, undiscounted.
    length: its steps so far.
    last_return: sum of the rewards of the newest finished episode.
    last_length: its steps; 0 before there is one.
  """

  state: State
  observation: Observation
  is_first: Bool[Array, ""]
  is_truncated: Bool[Array, ""]
  episode_return: Float[Array, ""]
  length: Int[Array, ""]
  last_return: Float[Array, ""]
  last_length: Int[Array, ""]


class Outcome(NamedTuple):
  """The reward of one step in a sequence of episodes, and what ended with it.

  Attributes:
    reward: r_t.
    discount: discount_t, 0.0 or 1.0.
    is_over: whether an episode ended with this step.
  """

  reward: Float[Array, ""]
  discount: Float[Array, ""]
  is_over: Bool[Array, ""]


def begin(
  environment: Environment, key: Key[Array, ""], is_needed: Bool[Array, ""] | bool = True
) -> Episode:
  """Begins an episode; where it is not needed, the result may be anything."""
  no, yes = jnp.bool_(False), jnp.bool_(True)
  if environment.reset_if is None:
    state, observation = environment.reset(key)
  else:
    state, observation = environment.reset_if(yes & is_needed, key)
  zeros = (jnp.float32(0), jnp.int32(0))
  return Episode(state, observation, yes, no, *zeros, *zeros)


def advance(
  environment: Environment, key: Key[Array, ""], episode: Episode, action: Int[Array, ""]
) -> tuple[Episode, Outcome]:
  """Makes one step; after a truncated episode it begins the next, whatever `action` is."""
  step_key, reset_key = jax.random.split(key)
  taken = environment.step(step_key, episode.state, action)
  episode_return, length = episode.episode_return + taken.reward, episode.length + 1
  is_terminal = taken.is_last & (taken.discount == 0)
  begins = episode.is_truncated | is_terminal
  is_over = taken.is_last & ~episode.is_truncated
  no = jnp.bool_(False)
  zero = jnp.zeros_like(taken.reward)
  is_truncated = taken.is_last & ~is_terminal
  last = choose(is_over, (episode_return, length), (episode.last_return, episode.last_length))
  follows = Episode(taken.state, taken.observation, no, is_truncated, episode_return, length, *last)
  starts = begin(environment, reset_key, begins)
  starts = starts._replace(last_return=last[0], last_length=last[1])
  outcome = Outcome(
    jnp.where(episode.is_truncated, zero, taken.reward),
    jnp.where(episode.is_truncated, zero + 1, taken.discount),
    is_over,
  )
  return choose(begins, starts, follows), outcome


def choose(condition: Bool[Array, ""], this: Any, that: Any) -> Any:
  """Returns one of two trees of equal structure."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, that)
