"""Tabular Q-learning in a grid world, beside the exact values (Q01).

Agent, environment, reward: Watkins and Dayan 1992 in a slippery world of the kind of gymnasium's
FrozenLake, as in Dive into Deep Learning, section 17.3. Its own lesson stands beside it: FrozenLake
without slipping, discount 0.95, learning rate 0.9, 256 episodes of 90 % random moves.
Value iteration (Sutton and Barto 2018, section 4.4) gives what learning must find. The rate of an
entry that was visited n times is 1 / (1 + (1 - discount) n) (Wainwright 2019, "Stochastic
approximation with cone-contractive operators", corollary 3), which forgets the first guesses as
fast as it averages the noise; episodes begin anywhere, so that all is visited.

    python launch.py --experiment=q_learning

Expected: greedy values within 0.01 of value iteration's everywhere (0.0051 to 0.0075 over three
seeds), and the same policy; on the frozen lake 76 to 78 % of the learners reach the goal after 256
episodes. 10 seconds of one CPU core.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from matplotlib.figure import Figure

from research.batch import Batch
from research.config import pytree_config, static, traced
from research.data import sampling
from research.figures.curves import compare_curves
from research.figures.policies import value_map
from research.lab.experiment import single_fit
from research.learner import Learner, Metrics
from research.metrics import Mean, batch_means
from research.report import Claim, Picture, Report, at_least, at_most
from research.rl import grid_world
from research.rl.agent import epsilon_greedy
from research.rl.environment import Episode, advance, begin
from research.rl.value_learning import q_learning
from research.training import Fit, Training

MAP = (
  "S.....",
  ".#.X#.",
  ".#....",
  "...X#.",
  "X.#..G",
)
# Gymnasium's FrozenLake-v1, whose pits cost nothing and whose episodes end after 100 steps.
LAKE = ("S...", ".X.X", "...X", "X..G")
LAKE_STEPS = 100
LEARNERS = 200


@pytree_config
class Config:
  """The lesson's settings, where it gives them."""

  slip: float = static(0.1, "chance that a step goes to one of the sides", at_least=0, at_most=1)
  discount: float = traced(0.95, "worth of a reward one step later", at_least=0, below=1)
  epsilon: float = traced(0.9, "share of random actions", at_least=0, at_most=1)
  num_envs: int = static(64, "agents that share the table", at_least=1)
  steps: int = static(300_000, "steps of each of them", at_least=1)
  max_episode_steps: int = static(50, "steps after which an episode is truncated", at_least=1)


class State(NamedTuple):
  """The table [cell, action], how often each entry was visited, and the agents in their worlds."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  q: Float[Array, "cell action"]
  visits: Float[Array, "cell action"]
  episodes: Episode


def world(config: Config) -> grid_world.World:
  """The map as tables."""
  return grid_world.world(MAP, config.slip)


def environment(config: Config, *, starts_anywhere: bool) -> grid_world.Environment:
  """The world to act in."""
  return grid_world.environment(
    world(config), config.max_episode_steps, starts_anywhere=starts_anywhere
  )


def init(config: Config, key: Key[Array, ""]) -> State:
  """An empty table."""
  run_key, worlds_key = jax.random.split(key)
  keys = jax.random.split(worlds_key, config.num_envs)
  acting = environment(config, starts_anywhere=True)
  episodes = jax.vmap(lambda key: begin(acting, key))(keys)
  table = jnp.zeros(world(config).chance.shape[:2])
  return State(jnp.int32(0), run_key, table, table.copy(), episodes)


def step(config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
  """One move of every agent, and what it teaches."""
  del batch
  explore_key, world_key = jax.random.split(jax.random.fold_in(state.key, state.step))
  acting = environment(config, starts_anywhere=True)
  s_tm1 = state.episodes.observation
  a_tm1 = epsilon_greedy(state.q[s_tm1], config.epsilon, explore_key)
  keys = jax.random.split(world_key, config.num_envs)
  move = lambda key, episode, action: advance(acting, key, episode, action)
  episodes, outcome = jax.vmap(move)(keys, state.episodes, a_tm1)
  # After a truncation nothing was done. Where an episode ended, discount 0 hides the next one.
  counts = (~state.episodes.is_truncated).astype(state.q.dtype)
  error = counts * jax.vmap(q_learning)(
    state.q[s_tm1],
    a_tm1,
    outcome.reward,
    config.discount * outcome.discount,
    state.q[episodes.observation],
  )
  # Agents that meet in one entry make one step of their mean error: k full ones would overshoot.
  at_once = jnp.zeros_like(state.q).at[s_tm1, a_tm1].add(counts)
  total = jnp.zeros_like(state.q).at[s_tm1, a_tm1].add(error)
  visits = state.visits + at_once
  rate = 1 / (1 + (1 - config.discount) * visits)
  q = state.q + rate * total / jnp.maximum(at_once, 1)
  state = State(state.step + 1, state.key, q, visits, episodes)
  return state, {"loss": jnp.mean(error**2) / 2}


def evaluate(config: Config, state: State, batch: Batch) -> dict[str, Mean]:
  """Distance of the greedy values from the exact ones, over the cells of `batch`."""
  learnt = state.q.max(axis=1)[batch["cell"]]
  return batch_means({"distance": jnp.abs(learnt - batch["value"])}, batch)


learner = Learner(init, step, evaluate)


def exact(config: Config) -> np.ndarray:
  """Q*[cell, action] by value iteration."""
  return grid_world.optimal_values(world(config), float(config.discount))


def lesson(key: Key[Array, ""]) -> Float[Array, "cell action"]:
  """Q[cell, action] of a learner with the settings of d2l's section 17.3 on its frozen lake."""
  lake = grid_world.world(LAKE, 0.0)
  after, is_end = jnp.asarray(lake.chance.argmax(-1)), jnp.asarray(lake.is_end)
  reward = jnp.maximum(lake.reward, 0.0)

  def move(walk: tuple) -> tuple:
    key, cell, time, q = walk
    key, explore_key = jax.random.split(key)
    action = epsilon_greedy(q[cell][None], 0.9, explore_key)[0]
    to = after[cell, action]
    error = reward[to] + 0.95 * q[to].max() - q[cell, action]
    return key, to, time + 1, q.at[cell, action].add(0.9 * error)

  def episode(number: Array, learner: tuple) -> tuple:
    del number
    key, q = learner
    walk = (key, jnp.asarray(lake.start), 0, q)
    is_on = lambda walk: ~is_end[walk[1]] & (walk[2] < LAKE_STEPS)
    key, _, _, q = jax.lax.while_loop(is_on, move, walk)
    return key, q

  return jax.lax.fori_loop(0, 256, episode, (key, jnp.zeros(after.shape)))[1]


def free_cells(config: Config) -> np.ndarray:
  """Cells in which something is done."""
  letters = np.array(list("".join(MAP)))
  return np.flatnonzero(np.isin(letters, ["S", "."]))


def training(config: Config, seed: int) -> Training:
  """The agents' own experience; the exact values are looked at twenty times, never learnt from."""
  cells = free_cells(config)
  every = max(1, config.steps // 20)
  return Training(
    learner,
    {},
    sampling.without_data(),
    steps=config.steps,
    evaluate={"test": {"cell": cells, "value": exact(config).max(axis=1)[cells]}},
    evaluate_every=every,
    log_every=every,
  )


def report(config: Config, fit: Fit) -> Report:
  """Compares the learnt values and policy with the exact ones."""
  star, learnt, cells = exact(config), np.asarray(fit.state.q), free_cells(config)
  worst = np.abs(learnt.max(axis=1) - star.max(axis=1))[cells].max()
  chosen = star[cells, learnt[cells].argmax(axis=1)]
  keys = jax.random.split(jax.random.fold_in(fit.state.key, fit.state.step), LEARNERS)
  lakes = jax.jit(jax.vmap(lesson))(keys)
  # Without slips a positive value's best action leads to a greater one, and so to the goal.
  arrived = lakes[:, "".join(LAKE).index(grid_world.START)].max(axis=1) > 0
  return Report(
    [
      Claim(
        "Q01",
        "grid world, greatest distance of learnt from exact state values",
        "value iteration's fixed point",
        float(worst),
        at_most(0.01),
      ),
      Claim(
        "Q01",
        "share of cells where the learnt action is worth as much as the best (to 0.01)",
        "reaches the goal (d2l)",
        float(np.mean(chosen >= star[cells].max(axis=1) - 1e-2)),
        at_least(1),
        "%",
      ),
      Claim(
        "Q01",
        f"d2l's frozen lake and settings: of {LEARNERS} learners, share whose greedy walk reaches "
        "the goal after 256 episodes",
        "one does, after about 250 (d2l)",
        float(arrived.mean()),
        at_least(0.5),
        "%",
      ),
    ],
    [
      Picture(
        "values",
        maps(config, learnt, star),
        "Q-learning (left) finds the values and the ways of value iteration (right). X are pits, "
        "G is the goal, dark cells are walls; steps slip to the sides.",
      ),
      compare_curves(
        {"Q-learning": fit},
        "test/distance",
        title="Distance from the exact values",
        y="mean distance of state values",
        log=True,
        caption=(
          "The distance falls with the learning rates; it never stays at zero, for every step "
          "slips."
        ),
        file="distance",
      ),
    ],
  )


def maps(config: Config, learnt: np.ndarray, star: np.ndarray) -> Figure:
  """Values and best actions of both tables."""
  shape, free = world(config).shape, np.zeros(len(star), bool)
  free[free_cells(config)] = True
  tables = (learnt, star)
  return value_map(
    np.stack([table.max(axis=1).reshape(shape) for table in tables]),
    np.stack([np.where(free, table.argmax(axis=1), -1).reshape(shape) for table in tables]),
    MAP,
    title="Values and best actions in the grid world",
    names=["Q-learning", "value iteration"],
    caption="",
  ).figure


experiment = single_fit(Config, training, report)
