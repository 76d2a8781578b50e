"""Environments as two pure functions, and the sequence of their episodes.

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
    observation: what is seen of it.
    reward: r_t.
    discount: 0.0 where nothing more can be earned (the pole has fallen, a life is lost), else 1.0.
    is_last: whether the episode is over. Over at discount 1, it was only cut off: its last
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
    longest: steps after which an evaluation no longer waits for the end.
    reset_if: (is_needed, key) -> as `reset` where it is needed, anything elsewhere; for worlds
      whose reset is costly. None: `reset` does.
  """

  reset: Callable[[Key[Array, ""]], tuple[State, Observation]]
  step: Callable[[Key[Array, ""], State, Int[Array, ""]], Transition]
  draw: Callable[[State], Float[Array, "height width 3"]]
  actions: tuple[str, ...]
  longest: int
  reset_if: Callable[[Bool[Array, ""], Key[Array, ""]], tuple[State, Observation]] | None = None


class Episode(NamedTuple):
  """An environment in the middle of one episode of a row of them.

  Attributes:
    state: of the environment.
    observation: s_t.
    is_first: whether s_t begins an episode.
    is_cut: whether s_t is the last observation of an episode that was cut off. Nothing is done in
      it; the next step begins an episode. (One that ended by itself is followed at once, since
      its last observation has no value.)
    rewards: sum of the rewards of the episode so far, undiscounted.
    length: its steps so far.
    last_rewards: sum of the rewards of the newest episode of the row that is over.
    last_length: its steps; 0 while there was none.
  """

  state: State
  observation: Observation
  is_first: Bool[Array, ""]
  is_cut: Bool[Array, ""]
  rewards: Float[Array, ""]
  length: Int[Array, ""]
  last_rewards: Float[Array, ""]
  last_length: Int[Array, ""]


class Outcome(NamedTuple):
  """The rewards and ends of one step of a row of episodes.

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
  """The beginning of an episode; anything where it is not needed."""
  no, yes = jnp.bool_(False), jnp.bool_(True)
  if environment.reset_if is None:
    state, observation = environment.reset(key)
  else:
    state, observation = environment.reset_if(yes & is_needed, key)
  nothing = (jnp.float32(0), jnp.int32(0))
  return Episode(state, observation, yes, no, *nothing, *nothing)


def advance(
  environment: Environment, key: Key[Array, ""], episode: Episode, action: Int[Array, ""]
) -> tuple[Episode, Outcome]:
  """One step, or after a cut episode the beginning of the next, where `action` counts nothing."""
  step_key, reset_key = jax.random.split(key)
  taken = environment.step(step_key, episode.state, action)
  rewards, length = episode.rewards + taken.reward, episode.length + 1
  ends_by_itself = taken.is_last & (taken.discount == 0)
  begins = episode.is_cut | ends_by_itself
  is_over = taken.is_last & ~episode.is_cut
  no = jnp.bool_(False)
  zero = jnp.zeros_like(taken.reward)
  is_cut = taken.is_last & ~ends_by_itself
  last = choose(is_over, (rewards, length), (episode.last_rewards, episode.last_length))
  follows = Episode(taken.state, taken.observation, no, is_cut, rewards, length, *last)
  starts = begin(environment, reset_key, begins)
  starts = starts._replace(last_rewards=last[0], last_length=last[1])
  outcome = Outcome(
    jnp.where(episode.is_cut, zero, taken.reward),
    jnp.where(episode.is_cut, zero + 1, taken.discount),
    is_over,
  )
  return choose(begins, starts, follows), outcome


def choose(condition: Bool[Array, ""], this: Any, that: Any) -> Any:
  """One of two equal trees."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, that)
