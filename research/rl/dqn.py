"""The DQN agent as a learner: its step acts, remembers, and learns.

Mnih et al. 2015, and six later papers, each as one field of `Agent`:

  double          van Hasselt, Guez and Silver 2016: the online network chooses, the target judges
  dueling         Wang et al. 2016: value and advantages apart (`research.models.q_network`)
  n_step          Sutton 1988: n rewards before the estimate (`replay.transitions`)
  replay          Schaul et al. 2016: "prioritised" draws what surprises (`prioritised`)
  distributional  Bellemare et al. 2017 (c51), Dabney et al. 2018 (qr): the return's distribution
                  (`value_learning`)
  noisy           Fortunato et al. 2018: noise in the weights explores (`layers.noisy`)

All together are Rainbow (Hessel et al. 2018). The state holds everything, the environments and the
replay memory too, so that `jit`, lanes, checkpoints and resume are those of every other learner.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, inputs_of
from research.config import config, static, traced
from research.errors import UserError
from research.layers.batch_axis import batch_sum
from research.learner import Config, Learner, Metrics
from research.metrics import Mean
from research.models.q_network import QNetwork
from research.rl import prioritised, replay, value_learning
from research.rl.environment import Environment, Episode, Outcome, advance, begin, choose

EVALUATION_SEED = 2015  # of the evaluation episodes, whatever the run's own seed


@config
class Agent:
  """DQN's settings; the defaults of the options are Nature's."""

  environments: int = static(1, "environments side by side", at_least=1)
  steps_per_update: int = static(4, "steps of each environment between updates", at_least=1)
  batch_size: int = static(32, "transitions per update", at_least=1)
  capacity: int = static(1_000_000, "frames in the replay memory", at_least=1)
  learning_starts: int = static(50_000, "frames before the first update", at_least=1)
  target_every: int = static(2_500, "updates between copies to the target network", at_least=1)
  stack: int = static(1, "frames that the agent sees at once", at_least=1)
  discount: float = traced(0.99, "worth of a reward one step later", at_least=0, at_most=1)
  epsilon_start: float = traced(1.0, "share of random actions at first", at_least=0, at_most=1)
  epsilon_end: float = traced(0.1, "share of random actions later", at_least=0, at_most=1)
  epsilon_frames: float = traced(1e6, "frames until epsilon_end is reached", above=0)
  evaluation_epsilon: float = traced(0.05, "random actions in evaluation", at_least=0, at_most=1)
  error_bound: float = traced(1.0, "errors are clipped to this; large: the square loss", above=0)
  clip_rewards: bool = static(False, "whether to learn from rewards clipped to [-1, 1]")
  double: bool = static(False, "the online network chooses the action that the target judges")
  dueling: bool = static(False, "streams of their own for the value and the advantages")
  n_step: int = static(1, "rewards before the estimate", at_least=1)
  replay: str = static(
    "uniform",
    "what is learnt from; latest is no replay",
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


class AgentState(NamedTuple):
  """All there is.

  Attributes:
    step: steps made; each is some frames and one update.
    key: the run's key; the randomness of a step is `fold_in(key, step)`.
    params: of the online network.
    target_params: of the target network.
    opt_state: the optimizer's.
    memory: the replay memory.
    priorities: of its places, where they have any; else None.
    episodes: the environments.
    seen: the stacks of frames that the agent sees, [environment, ...].
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  params: Any
  target_params: Any
  opt_state: Any
  memory: replay.Memory
  priorities: prioritised.Priorities | None
  episodes: Episode
  seen: Array


class Parts(NamedTuple):
  """What an agent is made of; every function may read any field of the config.

  Attributes:
    agent: its settings.
    environment: where it acts.
    torso: what sees; any Linen module that gives [batch, features].
    hidden: units of the dense layer behind the torso.
    optimizer: of the network.
    steps: of the learner in all, for the correction of prioritised replay.
  """

  agent: Callable[[Config], Agent]
  environment: Callable[[Config], Environment]
  torso: Callable[[Config], linen.Module]
  hidden: Callable[[Config], int]
  optimizer: Callable[[Config], optax.GradientTransformation]
  steps: Callable[[Config], int]


def dqn(parts: Parts) -> Learner:
  """The learner. It takes empty batches; to evaluate it, give it the episodes' numbers.

  A step makes `environments * steps_per_update` frames and then one update. Of evaluation, each
  example {"episode": number} is one episode with a start of its own.
  """
  return Learner(
    functools.partial(_init, parts),
    functools.partial(_step, parts),
    functools.partial(_evaluate, parts),
  )


def frames_per_step(agent: Agent) -> int:
  """Frames of one step of the learner, all environments together."""
  return agent.environments * agent.steps_per_update


def steps_for(agent: Agent, frames: int) -> int:
  """Steps of the learner that make at least that many frames."""
  return math.ceil(frames / frames_per_step(agent))


def evaluation_episodes(count: int) -> dict[str, dict[str, np.ndarray]]:
  """Data for `Training.evaluate`: that many episodes, by number."""
  return {"test": {"episode": np.arange(count)}}


def head(agent: Agent) -> value_learning.Head:
  """What the network's outputs mean."""
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


def action_values(parts: Parts, config: Config, params: Any, seen: Array) -> Array:
  """Expected returns [batch, action] of what was seen [batch, ...], without noise."""
  outputs = network(parts, config).apply({"params": params}, inputs_of({"image": seen}))
  return jax.vmap(jax.vmap(head(parts.agent(config)).value))(outputs)


def reserve(parts: Parts, config: Config) -> None:
  """Says what the replay memory takes, and refuses if it does not fit; costs nothing itself."""
  state = jax.eval_shape(functools.partial(_init, parts), config, jax.random.key(0))
  replay.reserve(
    f"the replay memory for {parts.agent(config).capacity:,} frames", replay.bytes_of(state.memory)
  )


def _init(parts: Parts, config: Config, key: Key[Array, ""]) -> AgentState:
  agent, environment = parts.agent(config), parts.environment(config)
  params_key, episodes_key, run_key = jax.random.split(key, 3)
  keys = jax.random.split(episodes_key, agent.environments)
  episodes = jax.vmap(functools.partial(begin, environment))(keys)
  frame = episodes.observation
  black = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * agent.stack), frame.dtype)
  seen = jax.vmap(replay.push)(black, frame, episodes.is_first)
  params = network(parts, config).init(params_key, inputs_of({"image": seen[:1]}))["params"]
  memory = replay.empty(
    _rows(agent), agent.environments, jax.ShapeDtypeStruct(frame.shape[1:], frame.dtype)
  )
  return AgentState(
    jnp.int32(0),
    run_key,
    params,
    jax.tree.map(jnp.copy, params),  # buffers of its own, since the state is donated
    parts.optimizer(config).init(params),
    memory,
    prioritised.empty(memory) if agent.replay == "prioritised" else None,
    episodes,
    seen,
  )


def _rows(agent: Agent) -> int:
  """Moments that the memory holds, a multiple of those that are written at once."""
  rows = agent.capacity // frames_per_step(agent) * agent.steps_per_update
  least = agent.n_step + agent.stack + 2 * agent.steps_per_update
  if rows < least:
    raise UserError(
      f"agent.capacity={agent.capacity} holds {rows} moments of {agent.environments} environments, "
      f"too few to learn from; give at least {least * agent.environments}"
    )
  return rows


def _step(
  parts: Parts, config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
  del batch  # the agent makes its own experience
  agent = parts.agent(config)
  act_key, sample_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  episodes, seen, rows, outcomes = _act(parts, config, state, act_key)
  memory = replay.write(state.memory, rows)
  updates = state.step + 1 - steps_for(agent, agent.learning_starts) + 1
  is_learning = updates > 0

  places, weight, priorities = _sample(parts, config, state, memory, sample_key)
  transitions = replay.transitions(
    memory, places, n_step=agent.n_step, stack=agent.stack, discount=agent.discount
  )
  transitions = transitions._replace(weight=transitions.weight * weight)
  # The memory stays out of the branches, which would copy it.
  learn = functools.partial(_learn, parts, config, state, transitions, learn_key)
  params, opt_state, loss, value, surprise = jax.lax.cond(
    is_learning, learn, lambda: _learn_nothing(agent, state)
  )
  is_copied = is_learning & (updates % agent.target_every == 0)
  if priorities is not None:
    priorities = prioritised.revise(
      priorities, memory, places, surprise, agent.priority_exponent, is_learning
    )
  ended = outcomes.is_over.astype(float)
  return AgentState(
    state.step + 1,
    state.key,
    params,
    choose(is_copied, params, state.target_params),
    opt_state,
    memory,
    priorities,
    episodes,
    seen,
  ), {
    "loss": loss,
    "value": value,
    "epsilon": _epsilon(agent, state.step),
    "episodes": ended.sum(),
    "return": (ended * outcomes.rewards).sum(),
    "length": (ended * outcomes.length).sum(),
  }


def _epsilon(agent: Agent, step: Int[Array, ""]) -> Float[Array, ""]:
  """The share of random actions, falling on a straight line."""
  if agent.noisy:
    return jnp.float32(0)
  done = jnp.minimum(step * frames_per_step(agent) / agent.epsilon_frames, 1)
  return agent.epsilon_start + done * (agent.epsilon_end - agent.epsilon_start)


def _act(
  parts: Parts, config: Config, state: AgentState, key: Key[Array, ""]
) -> tuple[Episode, Array, replay.Rows, Outcome]:
  """`steps_per_update` moments: the episodes after them, and what they leave behind."""
  agent, environment = parts.agent(config), parts.environment(config)
  epsilon = _epsilon(agent, state.step)

  def moment(
    carry: tuple[Episode, Array], key: Key[Array, ""]
  ) -> tuple[tuple[Episode, Array], tuple[replay.Rows, Outcome]]:
    episodes, seen = carry
    noise_key, explore_key, world_key = jax.random.split(key, 3)
    action = epsilon_greedy(
      _values(parts, config, state.params, seen, noise_key), epsilon, explore_key
    )
    keys = jax.random.split(world_key, agent.environments)
    step = functools.partial(advance, environment)
    following, outcome = jax.vmap(step)(keys, episodes, action)
    reward = jnp.clip(outcome.reward, -1, 1) if agent.clip_rewards else outcome.reward
    rows = replay.Rows(
      episodes.observation,
      action,
      reward,
      outcome.discount > 0,
      episodes.is_first,
      episodes.is_cut,
    )
    seen = jax.vmap(replay.push)(seen, following.observation, following.is_first)
    return (following, seen), (rows, outcome)

  keys = jax.random.split(key, agent.steps_per_update)
  carry = (state.episodes, state.seen)
  (episodes, seen), (rows, outcomes) = jax.lax.scan(moment, carry, keys)
  return episodes, seen, rows, outcomes


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


def _outputs(
  parts: Parts, config: Config, params: Any, seen: Array, noise_key: Key[Array, ""] | None
) -> Float[Array, "batch action output"]:
  rngs = {"noise": noise_key} if parts.agent(config).noisy and noise_key is not None else {}
  return network(parts, config).apply({"params": params}, inputs_of({"image": seen}), rngs=rngs)


def _values(
  parts: Parts, config: Config, params: Any, seen: Array, noise_key: Key[Array, ""] | None
) -> Float[Array, "batch action"]:
  value = head(parts.agent(config)).value
  return jax.vmap(jax.vmap(value))(_outputs(parts, config, params, seen, noise_key))


def _sample(
  parts: Parts, config: Config, state: AgentState, memory: replay.Memory, key: Key[Array, ""]
) -> tuple[replay.Places, Float[Array, " batch"], prioritised.Priorities | None]:
  """Where to learn from, with what weight; and the priorities that the new rows have as well."""
  agent = parts.agent(config)
  ones = jnp.ones(agent.batch_size)
  if agent.replay == "latest":
    return replay.latest(memory, agent.batch_size, n_step=agent.n_step), ones, None
  if state.priorities is None:
    span = {"n_step": agent.n_step, "stack": agent.stack}
    return replay.uniform(memory, key, agent.batch_size, **span), ones, None
  priorities = prioritised.admit(
    state.priorities, memory, agent.steps_per_update, n_step=agent.n_step, stack=agent.stack
  )
  places = prioritised.draw(priorities, memory, key, agent.batch_size)
  done = jnp.minimum(state.step / parts.steps(config), 1)
  exponent = agent.importance_exponent + done * (1 - agent.importance_exponent)
  return places, prioritised.importance(priorities, memory, places, exponent), priorities


def _learn(
  parts: Parts,
  config: Config,
  state: AgentState,
  batch: replay.Transitions,
  key: Key[Array, ""],
) -> tuple[Any, Any, Float[Array, ""], Float[Array, ""], Float[Array, " batch"]]:
  """One update: parameters, optimizer, loss, mean value of what was seen, surprises."""
  agent = parts.agent(config)
  here = head(agent)
  values_of = jax.vmap(jax.vmap(here.value))
  online_key, target_key, selector_key = jax.random.split(key, 3)
  total = jnp.maximum(batch.weight.sum(), 1e-6) if agent.replay != "prioritised" else len(batch.r_t)
  each = jnp.arange(len(batch.r_t))

  target = _outputs(parts, config, state.target_params, batch.s_t, target_key)
  chooser = target
  if agent.double:
    chooser = _outputs(parts, config, state.params, batch.s_t, selector_key)
  target = target[each, jnp.argmax(values_of(chooser), axis=1)]

  def objective(params: Any) -> tuple[Float[Array, ""], tuple[Array, Array]]:
    outputs = _outputs(parts, config, params, batch.s_tm1, online_key)
    taken = outputs[each, batch.a_tm1]
    losses, surprise = jax.vmap(here.loss)(taken, batch.r_t, batch.discount_t, target)
    value = values_of(outputs).max(axis=1).mean()
    return (batch.weight * losses).sum() / total, (value, surprise)

  (loss, (value, surprise)), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
  updates, opt_state = parts.optimizer(config).update(gradients, state.opt_state, state.params)
  return optax.apply_updates(state.params, updates), opt_state, loss, value, surprise


def _learn_nothing(
  agent: Agent, state: AgentState
) -> tuple[Any, Any, Float[Array, ""], Float[Array, ""], Float[Array, " batch"]]:
  """What `_learn` gives before there is enough to learn from."""
  zero = jnp.float32(0)
  return state.params, state.opt_state, zero, zero, jnp.zeros(agent.batch_size)


def _evaluate(parts: Parts, config: Config, state: AgentState, batch: Batch) -> dict[str, Mean]:
  """Whole episodes, side by side, each with a key made of its number alone."""
  agent, environment = parts.agent(config), parts.environment(config)
  number = batch["episode"]
  weight = batch.get("weight", jnp.ones(number.shape))
  fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
  keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(EVALUATION_SEED), number)
  world, frame = jax.vmap(environment.reset)(fold(keys, 0))
  black = jnp.zeros((*frame.shape[:-1], frame.shape[-1] * agent.stack), frame.dtype)
  seen = jax.vmap(replay.push)(black, frame, jnp.ones(number.shape, bool))

  def moment(carry: tuple) -> tuple:
    time, world, seen, is_on, rewards, length = carry
    now = fold(keys, time)
    drawn = jax.vmap(jax.random.split)(now)
    values = _values(parts, config, state.params, seen, None)
    epsilon = 0.0 if agent.noisy else agent.evaluation_epsilon
    one = lambda values, key: epsilon_greedy(values[None], epsilon, key)[0]
    action = jax.vmap(one)(values, drawn[:, 0])
    taken = jax.vmap(environment.step)(drawn[:, 1], world, action)
    rewards = rewards + jnp.where(is_on, taken.reward, 0)
    length = length + is_on
    seen = jax.vmap(replay.push)(seen, taken.observation, jnp.zeros(number.shape, bool))
    return time + 1, taken.state, seen, is_on & ~taken.is_last, rewards, length

  def goes_on(carry: tuple) -> Array:
    return jnp.any(carry[3]) & (carry[0] <= environment.longest)

  nothing = jnp.zeros(number.shape)
  start = (jnp.int32(1), world, seen, weight > 0, nothing, nothing)
  *_, rewards, length = jax.lax.while_loop(goes_on, moment, start)
  return batch_sum(
    {
      "return": Mean((weight * rewards).sum(), weight.sum()),
      "length": Mean((weight * length).sum(), weight.sum()),
    }
  )
