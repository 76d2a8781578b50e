"""The DQN agent as a learner: each step acts, stores, samples and learns.

Mnih et al. 2015, with six extensions, each switched on by one field of `agent.DQNConfig`:

  double          van Hasselt, Guez and Silver 2016: the online network selects the action, the
                  target network evaluates it
  dueling         Wang et al. 2016: streams for value and advantages (`research.models.q_network`)
  n_step          Sutton 1988: n rewards before the bootstrapped value (`replay.transitions`)
  replay          Schaul et al. 2016: "prioritised" by the TD error (`prioritised`)
  distributional  Bellemare et al. 2017 (c51), Dabney et al. 2018 (qr): the return's distribution
                  (`value_learning`)
  noisy           Fortunato et al. 2018: noise in the weights explores (`layers.noisy`)

All six together are Rainbow (Hessel et al. 2018). The state holds everything, including the
environments and the replay memory, so that `jit`, lanes, checkpoints and resume are those of every
other learner.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import free_memory
from research.batch import Batch, inputs_of
from research.errors import UserError
from research.learner import Config, Learner, Metrics
from research.optimizers import apply_gradients, precision_in
from research.precision import loss_scale, scaled
from research.rl import prioritised, replay
from research.rl.agent import (
  Agent,
  BoundAgent,
  DQNConfig,
  epsilon_greedy,
  frames_per_step,
  steps_before_learning,
)
from research.rl.environment import Episode, Outcome, advance, begin, choose
from research.rl.evaluation import evaluate
from research.weight_average import averaged


class AgentState(NamedTuple):
  """The learner's whole state.

  Attributes:
    step: steps made; each is some frames and one update.
    key: the run's key; the randomness of a step is `fold_in(key, step)`.
    params: of the online network, or its average (`research.weight_average`).
    target_params: of the target network.
    opt_state: the optimizer's.
    memory: the replay memory.
    priorities: of its transitions, where replay is prioritised; else None.
    episodes: the environments.
    obs: the stacks of frames that the agent acts on, [env, ...].
    raw: of the online network, where `params` is its average.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  params: Any
  target_params: Any
  opt_state: Any
  memory: replay.Memory
  priorities: prioritised.Priorities | None
  episodes: Episode
  obs: Array
  raw: Any = None


class Update(NamedTuple):
  """One update: new parameters and optimizer state, loss, mean of the largest action values, and
  the transitions' new priorities."""

  params: Any
  opt_state: Any
  loss: Float[Array, ""]
  value: Float[Array, ""]
  priority: Float[Array, " batch"]


@functools.cache
def dqn(agent: Agent) -> Learner:
  """Makes the learner, one object for each agent, so that its trainings share compiled programs.

  A step makes `num_envs * learn_period` frames and then one update; it takes empty batches. In
  evaluation each example {"episode": number} is one episode with a start of its own.
  """
  return averaged(
    Learner(
      functools.partial(_init, agent),
      functools.partial(_step, agent),
      lambda config, state, batch: evaluate(agent.at(config), state.params, batch),
      blame=_blame,
    )
  )


def _blame(state: AgentState) -> str | None:
  """Names an observation or a reward that is not finite, in the memory or just given."""
  rows = state.memory.rows
  for what, values in (
    ("an observation", rows.frame),
    ("an observation", state.episodes.observation),
    ("a reward", rows.reward),
  ):
    if jnp.issubdtype(values.dtype, jnp.floating) and not jnp.isfinite(values).all():
      return f"{what} of the environment is {values[~jnp.isfinite(values)][0]}"
  return None


def reserve(agent: Agent, config: Config) -> None:
  """Logs what the replay memory takes, or refuses if it does not fit; allocates nothing itself."""
  state = jax.eval_shape(functools.partial(_init, agent), config, jax.random.key(0))
  free_memory.reserve(
    f"the replay memory for {agent.settings(config).replay_capacity:,} frames",
    free_memory.bytes_of(state.memory),
    "give a smaller --agent.replay_capacity",
  )


def _init(recipe: Agent, config: Config, key: Key[Array, ""]) -> AgentState:
  agent = recipe.at(config)
  settings = agent.settings
  params_key, episodes_key, run_key = jax.random.split(key, 3)
  keys = jax.random.split(episodes_key, settings.num_envs)
  episodes = jax.vmap(functools.partial(begin, agent.environment))(keys)
  frame = episodes.observation
  obs = replay.first_stack(frame, settings.frame_stack)
  params = agent.network.init(params_key, inputs_of({"image": obs[:1]}))["params"]
  memory = replay.empty(
    _capacity(settings), settings.num_envs, jax.ShapeDtypeStruct(frame.shape[1:], frame.dtype)
  )
  return AgentState(
    jnp.int32(0),
    run_key,
    params,
    jax.tree.map(jnp.copy, params),  # buffers of its own, since the state is donated
    agent.optimizer.init(params),
    memory,
    prioritised.empty(memory) if settings.replay == "prioritised" else None,
    episodes,
    obs,
  )


def _capacity(settings: DQNConfig) -> int:
  """Time steps that the memory holds, a multiple of those that are written at once."""
  period = settings.learn_period
  rows = settings.replay_capacity // frames_per_step(settings) * period
  least = settings.n_step + settings.frame_stack + 2 * period
  least += -least % period
  if rows < least:
    raise UserError(
      f"agent.replay_capacity={settings.replay_capacity} holds {rows} time steps of "
      f"{settings.num_envs} environments, too few to learn from; give at least "
      f"{least * settings.num_envs}"
    )
  return rows


def _step(
  recipe: Agent, config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
  del batch  # the agent makes its own experience
  agent = recipe.at(config)._replace(precision=precision_in(config))
  settings = agent.settings
  act_key, sample_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  epsilon = _epsilon(settings, state.step)
  episodes, obs, rows, outcomes = _act(agent, state, epsilon, act_key)
  memory = replay.write(state.memory, rows)
  updates = state.step + 1 - steps_before_learning(settings)
  is_learning = updates > 0

  indices, weight, priorities = _sample(agent, state, memory, sample_key)
  transitions = replay.transitions(
    memory,
    indices,
    rows.frame.shape[2:],
    n_step=settings.n_step,
    frame_stack=settings.frame_stack,
    discount=settings.discount,
  )
  transitions = transitions._replace(weight=transitions.weight * weight)
  # The memory stays out of the branches, which would copy it.
  zero = jnp.float32(0)
  update = jax.lax.cond(
    is_learning,
    lambda: _learn(agent, state, transitions, learn_key),
    lambda: Update(state.params, state.opt_state, zero, zero, jnp.zeros(settings.batch_size)),
  )
  is_copied = is_learning & (updates % settings.target_update_period == 0)
  if priorities is not None:
    priorities = prioritised.update(
      priorities, memory, indices, update.priority, settings.priority_exponent, is_learning
    )
  has_ended = (episodes.last_length > 0).astype(float)
  newest = lambda of: (has_ended * of).sum() / jnp.maximum(has_ended.sum(), 1)
  return AgentState(
    state.step + 1,
    state.key,
    update.params,
    choose(is_copied, update.params, state.target_params),
    update.opt_state,
    memory,
    priorities,
    episodes,
    obs,
  ), {
    "loss": update.loss,
    "value": update.value,
    "epsilon": epsilon,
    "episodes": outcomes.is_over.sum().astype(float),
    # Of the newest finished episodes, one of each environment; 0 before the first.
    "return": newest(episodes.last_return),
    "length": newest(episodes.last_length),
  }


def _epsilon(settings: DQNConfig, step: Int[Array, ""]) -> Float[Array, ""]:
  """Share of random actions: constant until learning starts, then linear in the frames."""
  if settings.noisy:
    return jnp.float32(0)
  frames = (step - steps_before_learning(settings)) * frames_per_step(settings)
  done = jnp.clip(frames / settings.epsilon_frames, 0, 1)
  return settings.epsilon_start + done * (settings.epsilon_end - settings.epsilon_start)


def _act(
  agent: BoundAgent, state: AgentState, epsilon: Float[Array, ""], key: Key[Array, ""]
) -> tuple[Episode, Array, replay.Rows, Outcome]:
  """Makes `learn_period` time steps; returns episodes and observations after them, and the rows
  and outcomes that they gave."""
  settings = agent.settings

  def timestep(
    carry: tuple[Episode, Array], key: Key[Array, ""]
  ) -> tuple[tuple[Episode, Array], tuple[replay.Rows, Outcome]]:
    episodes, obs = carry
    noise_key, explore_key, env_key = jax.random.split(key, 3)
    values = _acting_values(agent, state.params, obs, noise_key)
    action = epsilon_greedy(values, epsilon, explore_key)
    keys = jax.random.split(env_key, settings.num_envs)
    step = functools.partial(advance, agent.environment)
    following, outcome = jax.vmap(step)(keys, episodes, action)
    reward = jnp.clip(outcome.reward, -1, 1) if settings.clip_rewards else outcome.reward
    rows = replay.Rows(
      episodes.observation,
      action,
      reward,
      outcome.discount > 0,
      episodes.is_first,
      episodes.is_truncated,
    )
    obs = jax.vmap(replay.push)(obs, following.observation, following.is_first)
    return (following, obs), (rows, outcome)

  keys = jax.random.split(key, settings.learn_period)
  (episodes, obs), (rows, outcomes) = jax.lax.scan(timestep, (state.episodes, state.obs), keys)
  return episodes, obs, rows, outcomes


def _acting_values(
  agent: BoundAgent, params: Any, obs: Array, key: Key[Array, ""]
) -> Float[Array, "env action"]:
  """Action values for acting; each environment has noise of its own, or all would explore alike."""
  if not agent.settings.noisy:
    return agent.action_values(params, obs)
  one = lambda obs, key: agent.action_values(params, obs[None], key)[0]
  return jax.vmap(one)(obs, jax.random.split(key, len(obs)))


def _sample(
  agent: BoundAgent, state: AgentState, memory: replay.Memory, key: Key[Array, ""]
) -> tuple[replay.Indices, Float[Array, " batch"], prioritised.Priorities | None]:
  """Samples transitions: their indices and weights, and the priorities with the new rows added."""
  settings = agent.settings
  size, ones = settings.batch_size, jnp.ones(settings.batch_size)
  if settings.replay == "latest":
    return replay.latest(memory, size, n_step=settings.n_step), ones, None
  span = {"n_step": settings.n_step, "frame_stack": settings.frame_stack}
  if state.priorities is None:
    return replay.uniform(memory, key, size, **span), ones, None
  priorities = prioritised.add(state.priorities, memory, settings.learn_period, **span)
  indices = prioritised.sample(priorities, memory, key, size)
  done = jnp.minimum(state.step / agent.steps, 1)
  exponent = settings.importance_exponent + done * (1 - settings.importance_exponent)
  return indices, prioritised.importance_weights(priorities, memory, indices, exponent), priorities


def _learn(
  agent: BoundAgent, state: AgentState, batch: replay.Transitions, key: Key[Array, ""]
) -> Update:
  """One update on a batch of transitions (Mnih et al. 2015, algorithm 1)."""
  settings, head = agent.settings, agent.head
  values_of = jax.vmap(jax.vmap(head.value))
  online_key, target_key, selector_key = jax.random.split(key, 3)
  is_prioritised = settings.replay == "prioritised"
  total = len(batch.r_t) if is_prioritised else jnp.maximum(batch.weight.sum(), 1e-6)
  each = jnp.arange(len(batch.r_t))

  q_t = agent.outputs(state.target_params, batch.s_t, target_key)
  q_t_selector = q_t
  if settings.double:
    q_t_selector = agent.outputs(state.params, batch.s_t, selector_key)
  q_t = q_t[each, jnp.argmax(values_of(q_t_selector), axis=1)]

  scale = loss_scale(agent.precision, state.opt_state)

  def objective(params: Any) -> tuple[Float[Array, ""], tuple[Array, Array, Array]]:
    q_tm1 = agent.outputs(params, batch.s_tm1, online_key)
    taken = q_tm1[each, batch.a_tm1]
    losses, priority = jax.vmap(head.loss)(taken, batch.r_t, batch.discount_t, q_t)
    value = values_of(q_tm1).max(axis=1).mean()
    loss = (batch.weight * losses).sum() / total
    return scaled(loss, scale), (loss, value, priority)

  gradients, (loss, value, priority) = jax.grad(objective, has_aux=True)(state.params)
  params, opt_state = apply_gradients(
    agent.optimizer, gradients, state.opt_state, state.params, loss
  )
  return Update(params, opt_state, loss, value, priority)
