"""The DQN agent as a learner: its step acts, remembers, and learns.

Mnih et al. 2015, and six improvements, each as one field of `agent.Agent`:

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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from research import free_memory
from research.batch import Batch, inputs_of
from research.errors import UserError
from research.learner import Config, Learner, Metrics
from research.rl import prioritised, replay
from research.rl.agent import (
  Agent,
  Parts,
  action_values,
  epsilon_greedy,
  frames_per_step,
  head,
  network,
  outputs_of,
  steps_before_learning,
)
from research.rl.environment import Episode, Outcome, advance, begin, choose
from research.rl.evaluation import evaluate


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


def dqn(parts: Parts) -> Learner:
  """The learner. It takes empty batches; to evaluate it, give it the episodes' numbers.

  A step makes `environments * steps_per_update` frames and then one update. Of evaluation, each
  example {"episode": number} is one episode with a start of its own.
  """
  return Learner(
    functools.partial(_init, parts),
    functools.partial(_step, parts),
    lambda config, state, batch: evaluate(parts, config, state.params, batch),
    blame=_blame,
  )


def _blame(state: AgentState) -> str | None:
  """Names an observation or a reward that is not finite, in the memory or just seen."""
  rows = state.memory.rows
  for what, values in (
    ("an observation", rows.frame),
    ("an observation", state.episodes.observation),
    ("a reward", rows.reward),
  ):
    if jnp.issubdtype(values.dtype, jnp.floating) and not jnp.isfinite(values).all():
      return f"{what} of the environment is {values[~jnp.isfinite(values)][0]}"
  return None


def reserve(parts: Parts, config: Config) -> None:
  """Says what the replay memory takes, and refuses if it does not fit; costs nothing itself."""
  state = jax.eval_shape(functools.partial(_init, parts), config, jax.random.key(0))
  free_memory.reserve(
    f"the replay memory for {parts.agent(config).capacity:,} frames",
    free_memory.bytes_of(state.memory),
    "give a smaller --agent.capacity",
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
  least += -least % agent.steps_per_update
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
  updates = state.step + 1 - steps_before_learning(agent)
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
  has_ended = (episodes.last_length > 0).astype(float)
  newest = lambda of: (has_ended * of).sum() / jnp.maximum(has_ended.sum(), 1)
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
    "episodes": outcomes.is_over.sum().astype(float),
    # Of the newest episodes that are over, one of each environment; 0 before the first of all.
    "return": newest(episodes.last_rewards),
    "length": newest(episodes.last_length),
  }


def _epsilon(agent: Agent, step: Int[Array, ""]) -> Float[Array, ""]:
  """The share of random actions: constant until learning starts, then on a straight line."""
  if agent.noisy:
    return jnp.float32(0)
  frames = (step - steps_before_learning(agent)) * frames_per_step(agent)
  done = jnp.clip(frames / agent.epsilon_frames, 0, 1)
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
    action = epsilon_greedy(_values(parts, config, state, seen, noise_key), epsilon, explore_key)
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


def _values(
  parts: Parts, config: Config, state: AgentState, seen: Array, key: Key[Array, ""]
) -> Float[Array, "env action"]:
  """Action values for acting; noise is each environment's own, or all would explore alike."""
  if not parts.agent(config).noisy:
    return action_values(parts, config, state.params, seen)
  one = lambda seen, key: action_values(parts, config, state.params, seen[None], key)[0]
  return jax.vmap(one)(seen, jax.random.split(key, len(seen)))


def _sample(
  parts: Parts, config: Config, state: AgentState, memory: replay.Memory, key: Key[Array, ""]
) -> tuple[replay.Places, Float[Array, " batch"], prioritised.Priorities | None]:
  """Draws transitions and their weights; returns the new rows' priorities as well."""
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

  target = outputs_of(parts, config, state.target_params, batch.s_t, target_key)
  chooser = target
  if agent.double:
    chooser = outputs_of(parts, config, state.params, batch.s_t, selector_key)
  target = target[each, jnp.argmax(values_of(chooser), axis=1)]

  def objective(params: Any) -> tuple[Float[Array, ""], tuple[Array, Array]]:
    outputs = outputs_of(parts, config, params, batch.s_tm1, online_key)
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
  """Returns what `_learn` returns, before there is enough to learn from."""
  zero = jnp.float32(0)
  return state.params, state.opt_state, zero, zero, jnp.zeros(agent.batch_size)
