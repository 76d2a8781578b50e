"""Value-based agents: settings, network, and choice of actions."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen
from jaxtyping import Array, Float, Int, Key

from research.batch import inputs_of
from research.config import config, static, traced
from research.errors import UserError
from research.learner import Config
from research.models.q_network import QNetwork
from research.optimizers import make
from research.rl import value_learning
from research.rl.environment import Environment


@config
class Agent:
  """DQN's settings. What Nature has is Nature's, but for frames in stacks of four and clipped
  rewards; what came later is off, and where it is on as in Rainbow (Hessel et al. 2018, table 1).
  """

  environments: int = static(1, "environments side by side", at_least=1)
  steps_per_update: int = static(4, "steps of each environment between updates", at_least=1)
  batch_size: int = static(32, "transitions per update", at_least=1)
  capacity: int = static(1_000_000, "frames in the replay memory", at_least=1)
  learning_starts: int = static(50_000, "frames before the first update", at_least=1)
  target_every: int = static(2_500, "updates between copies to the target network", at_least=1)
  stack: int = static(1, "frames that the agent sees at once", at_least=1)
  discount: float = traced(0.99, "worth of a reward one step later", at_least=0, at_most=1)
  epsilon_start: float = traced(
    1.0, "share of random actions until learning starts", at_least=0, at_most=1
  )
  epsilon_end: float = traced(0.1, "share of random actions later", at_least=0, at_most=1)
  epsilon_frames: float = traced(1e6, "frames from then until epsilon_end is reached", above=0)
  evaluation_epsilon: float = traced(
    0.05, "random actions in evaluation; none where noisy", at_least=0, at_most=1
  )
  error_bound: float = traced(
    1.0, "errors are clipped to this; large: the square loss; not of c51, qr", above=0
  )
  clip_rewards: bool = static(False, "whether to learn from rewards clipped to [-1, 1]")
  double: bool = static(False, "the online network chooses the action that the target judges")
  dueling: bool = static(False, "streams of their own for the value and the advantages")
  n_step: int = static(1, "rewards before the estimate", at_least=1)
  replay: str = static(
    "uniform",
    "what is learnt from; latest: the newest moments, each while it is among them",
    choices=("uniform", "prioritised", "latest"),
  )
  priority_exponent: float = traced(0.5, "prioritised: 0 is uniform", at_least=0)
  importance_exponent: float = traced(
    0.4, "prioritised: correction at first, 1 at last", at_least=0
  )
  distributional: str = static(
    "none", "whether to learn the return's distribution", choices=("none", "c51", "qr")
  )
  atoms: int = static(51, "c51, qr: points of the distribution", at_least=2)
  lowest: float = traced(-10.0, "c51: the smallest return")
  highest: float = traced(10.0, "c51: the largest return")
  noisy: bool = static(False, "noise in the weights instead of random actions")


class Parts(NamedTuple):
  """The parts of an agent; every function may read any field of the config.

  All but what is acted on and seen is read, by default, from fields of those names; the steps from
  `frames`, and the optimizer's schedule ends with them.

  Attributes:
    environment: where it acts.
    torso: what sees; any Linen module that gives [batch, features].
    agent: its settings.
    hidden: units of the dense layer behind the torso.
    steps: of the learner in all, those before learning starts included.
    optimizer: of the network.
  """

  environment: Callable[[Config], Environment]
  torso: Callable[[Config], linen.Module]
  agent: Callable[[Config], Agent] = lambda config: config.agent
  hidden: Callable[[Config], int] = lambda config: config.hidden
  steps: Callable[[Config], int] = lambda config: steps_for(config.agent, config.frames)
  optimizer: Callable[[Config], optax.GradientTransformation] = lambda config: make(
    config.optimizer, steps_for(config.agent, config.frames)
  )


def check(agent: Agent) -> None:
  """Refuses what no range of a single field can.

  Raises:
    UserError: where c51 has no returns to spread its atoms over.
  """
  if agent.distributional == "c51" and agent.lowest >= agent.highest:
    raise UserError(
      f"agent.lowest={agent.lowest:g} is not below agent.highest={agent.highest:g}, and c51 spreads"
      " its atoms between them; give a smaller --agent.lowest or a larger --agent.highest"
    )


def frames_per_step(agent: Agent) -> int:
  """Frames of one step of the learner, all environments together."""
  return agent.environments * agent.steps_per_update


def steps_for(agent: Agent, frames: int) -> int:
  """Steps of the learner that make at least that many frames."""
  return math.ceil(frames / frames_per_step(agent))


def steps_before_learning(agent: Agent) -> int:
  """Steps of the learner before the first that updates: by then a whole transition is there."""
  least = (agent.n_step + 1) * agent.environments
  return steps_for(agent, max(agent.learning_starts, least)) - 1


def head(agent: Agent) -> value_learning.Head:
  """Returns the meaning of the network's outputs."""
  if agent.distributional == "c51":
    return value_learning.categorical(agent.atoms, agent.lowest, agent.highest)
  if agent.distributional == "qr":
    return value_learning.quantiles(agent.atoms)
  return value_learning.expectation(agent.error_bound)


def network(parts: Parts, config: Config) -> QNetwork:
  """The network of a config."""
  agent = parts.agent(config)
  return QNetwork(
    parts.torso(config),
    parts.hidden(config),
    len(parts.environment(config).actions),
    head(agent).outputs,
    dueling=agent.dueling,
    noisy=agent.noisy,
  )


def outputs_of(
  parts: Parts, config: Config, params: Any, seen: Array, noise_key: Key[Array, ""] | None = None
) -> Float[Array, "batch action output"]:
  """Returns the network's outputs for observations [batch, ...]; without a key, without noise."""
  rngs = {"noise": noise_key} if parts.agent(config).noisy and noise_key is not None else {}
  return network(parts, config).apply({"params": params}, inputs_of({"image": seen}), rngs=rngs)


def action_values(
  parts: Parts, config: Config, params: Any, seen: Array, noise_key: Key[Array, ""] | None = None
) -> Float[Array, "batch action"]:
  """Expected returns of the actions in what was seen [batch, ...]."""
  value = head(parts.agent(config)).value
  return jax.vmap(jax.vmap(value))(outputs_of(parts, config, params, seen, noise_key))


def epsilon_greedy(
  values: Float[Array, "batch action"],
  epsilon: float | Float[Array, ""],
  key: Key[Array, ""],
) -> Int[Array, " batch"]:
  """The best action, or with probability `epsilon` any."""
  drawn = jax.random.uniform(key, values.shape[:1])
  # Below epsilon the draw is even in [0, epsilon): it chooses the action too.
  share = drawn / jnp.maximum(epsilon, jnp.finfo(drawn.dtype).tiny)
  chosen = jnp.minimum(share * values.shape[1], values.shape[1] - 1).astype(jnp.int32)
  return jnp.where(drawn < epsilon, chosen, jnp.argmax(values, axis=1).astype(jnp.int32))
