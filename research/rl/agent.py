"""Value-based agents: settings, network, and choice of actions."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen
from jaxtyping import Array, Float, Int, Key

from research.batch import inputs_of
from research.config import pytree_config, static, traced
from research.errors import UserError
from research.learner import Config
from research.models.q_network import QNetwork
from research.optimizers import make_optimizer
from research.precision import Precision, in_precision
from research.rl import value_learning
from research.rl.environment import Environment


@pytree_config
class DQNConfig:
  """Settings of DQN and of six extensions.

  The defaults are those of Mnih et al. 2015 (extended data table 1), except for stacks of four
  frames and clipped rewards. The extensions are off; their own settings are those of Rainbow
  (Hessel et al. 2018, table 1).
  """

  num_envs: int = static(1, "environments stepped side by side", at_least=1)
  learn_period: int = static(4, "steps of each environment between two updates", at_least=1)
  batch_size: int = static(32, "transitions per update", at_least=1)
  replay_capacity: int = static(1_000_000, "frames in the replay memory", at_least=1)
  min_replay_size: int = static(50_000, "frames before the first update", at_least=1)
  target_update_period: int = static(
    2_500, "updates between copies to the target network", at_least=1
  )
  frame_stack: int = static(1, "newest frames that make an observation", at_least=1)
  discount: float = traced(0.99, "worth of a reward one step later", at_least=0, at_most=1)
  epsilon_start: float = traced(
    1.0, "share of random actions until learning starts", at_least=0, at_most=1
  )
  epsilon_end: float = traced(0.1, "share of random actions later", at_least=0, at_most=1)
  epsilon_frames: float = traced(1e6, "frames from then until epsilon_end is reached", above=0)
  evaluation_epsilon: float = traced(
    0.05, "share of random actions in evaluation; none where noisy", at_least=0, at_most=1
  )
  huber_delta: float = traced(
    1.0, "TD errors are clipped to this; large: the square loss; not for c51, qr", above=0
  )
  clip_rewards: bool = static(False, "whether to learn from rewards clipped to [-1, 1]")
  double: bool = static(False, "the online network selects the action that the target evaluates")
  dueling: bool = static(False, "separate streams for the state value and the advantages")
  n_step: int = static(1, "rewards before the bootstrapped value", at_least=1)
  replay: str = static(
    "uniform",
    "how transitions are drawn; latest: the newest ones, without replay",
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
  v_min: float = traced(-10.0, "c51: the smallest return")
  v_max: float = traced(10.0, "c51: the largest return")
  noisy: bool = static(False, "noise in the weights instead of random actions")


def rainbow(**settings: Any) -> DQNConfig:
  """The settings of Rainbow (Hessel et al. 2018): all six extensions, and others as given."""
  parts = {"n_step": 3, "replay": "prioritised", "distributional": "c51"}
  return DQNConfig(**{**parts, "double": True, "dueling": True, "noisy": True, **settings})


class BoundAgent(NamedTuple):
  """An agent at one config.

  Attributes:
    environment: that it acts in.
    settings: of the algorithm.
    network: gives the outputs of the head for each action.
    head: says what the outputs mean.
    optimizer: of the network.
    steps: of the learner in all.
    precision: number formats of the network, while it learns.
  """

  environment: Environment
  settings: DQNConfig
  network: QNetwork
  head: value_learning.Head
  optimizer: optax.GradientTransformation
  steps: int
  precision: Precision = Precision()

  def outputs(
    self, params: Any, obs: Array, noise_key: Key[Array, ""] | None = None
  ) -> Float[Array, "batch action output"]:
    """The network's outputs for observations [batch, ...]; without a key, without noise."""
    rngs = {"noise": noise_key} if self.settings.noisy and noise_key is not None else {}
    forward = in_precision(self.precision, functools.partial(self.network.apply, rngs=rngs))
    return forward({"params": params}, inputs_of({"image": obs}))

  def action_values(
    self, params: Any, obs: Array, noise_key: Key[Array, ""] | None = None
  ) -> Float[Array, "batch action"]:
    """Expected returns of all actions for observations [batch, ...]."""
    return jax.vmap(jax.vmap(self.head.value))(self.outputs(params, obs, noise_key))


class Agent(NamedTuple):
  """An agent as functions of the config, each of which may read any field.

  By default all but the environment and the torso are read from the fields `agent` (a `DQNConfig`),
  `hidden`, `optimizer` and `frames`; the optimizer's schedule ends with the last step.

  Attributes:
    environment: that it acts in.
    torso: a Linen module that encodes observations as features [batch, feature].
    settings: of the algorithm.
    hidden: units of the dense layer between the torso and the outputs.
    steps: of the learner in all, including those before its first update.
    optimizer: of the network.
  """

  environment: Callable[[Config], Environment]
  torso: Callable[[Config], linen.Module]
  settings: Callable[[Config], DQNConfig] = lambda config: config.agent
  hidden: Callable[[Config], int] = lambda config: config.hidden
  steps: Callable[[Config], int] = lambda config: steps_for(config.agent, config.frames)
  optimizer: Callable[[Config], optax.GradientTransformation] = lambda config: make_optimizer(
    config.optimizer,
    steps_for(config.agent, config.frames),
    beside=("ema", "precision", "full_precision"),
  )

  def at(self, config: Config) -> BoundAgent:
    """The agent at a config."""
    settings, environment = self.settings(config), self.environment(config)
    head = head_of(settings)
    network = QNetwork(
      self.torso(config),
      self.hidden(config),
      len(environment.actions),
      head.outputs,
      dueling=settings.dueling,
      noisy=settings.noisy,
    )
    optimizer, steps = self.optimizer(config), self.steps(config)
    return BoundAgent(environment, settings, network, head, optimizer, steps)


def check(settings: DQNConfig) -> None:
  """Checks what the range of a single field cannot.

  Raises:
    UserError: where c51 has no interval of returns to spread its atoms over.
  """
  if settings.distributional == "c51" and settings.v_min >= settings.v_max:
    raise UserError(
      f"agent.v_min={settings.v_min:g} is not below agent.v_max={settings.v_max:g}, and c51 spreads"
      " its atoms between them; give a smaller --agent.v_min or a larger --agent.v_max"
    )


def frames_per_step(settings: DQNConfig) -> int:
  """Frames of one step of the learner, all environments together."""
  return settings.num_envs * settings.learn_period


def steps_for(settings: DQNConfig, frames: int) -> int:
  """Steps of the learner that make at least that many frames."""
  return math.ceil(frames / frames_per_step(settings))


def steps_before_learning(settings: DQNConfig) -> int:
  """Steps of the learner before its first update, for which a whole transition must be stored."""
  least = (settings.n_step + 1) * settings.num_envs
  return steps_for(settings, max(settings.min_replay_size, least)) - 1


def head_of(settings: DQNConfig) -> value_learning.Head:
  """Returns the meaning of the network's outputs."""
  if settings.distributional == "c51":
    return value_learning.categorical(settings.atoms, settings.v_min, settings.v_max)
  if settings.distributional == "qr":
    return value_learning.quantiles(settings.atoms)
  return value_learning.expectation(settings.huber_delta)


def epsilon_greedy(
  values: Float[Array, "batch action"],
  epsilon: float | Float[Array, ""],
  key: Key[Array, ""],
) -> Int[Array, " batch"]:
  """Returns the best actions, each replaced by a random one with probability `epsilon`."""
  drawn = jax.random.uniform(key, values.shape[:1])
  # Below epsilon the draw is uniform in [0, epsilon): it chooses the action too.
  share = drawn / jnp.maximum(epsilon, jnp.finfo(drawn.dtype).tiny)
  random = jnp.minimum(share * values.shape[1], values.shape[1] - 1).astype(jnp.int32)
  return jnp.where(drawn < epsilon, random, jnp.argmax(values, axis=1).astype(jnp.int32))
