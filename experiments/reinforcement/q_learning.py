"""Tabular Q-learning in a grid world, beside the exact values (Q01).

Agent, environment, reward: Watkins and Dayan 1992 in a slippery world of the kind of gymnasium's
FrozenLake, as in Dive into Deep Learning, section 17.3. Its own lesson stands beside it: FrozenLake
without slipping, discount 0.95, learning rate 0.9, 256 episodes of 90 % random moves.

Value iteration (Sutton and Barto 2018, section 4.4) gives what learning must find. The learner is
`research/rl/tabular.py`: the rate of an entry visited n times is 1 / (1 + (1 - discount) n)
(Wainwright 2019, corollary 3), which forgets the first guesses as fast as it averages the noise;
episodes begin anywhere, so that all is visited.

    python launch.py --experiment=q_learning

Expected: greedy values within 0.01 of value iteration's everywhere (0.0051 to 0.0075 over three
seeds), and the same policy; on the frozen lake 76 to 78 % of the learners reach the goal after 256
episodes. 10 seconds of one CPU core.
"""

import jax
import numpy as np

import research as ln
from research.rl import grid_world
from research.rl.environment import Environment
from research.rl.tabular import learn_by_episodes, tabular_q_learning

MAP = (
  "S.....",
  ".#.X#.",
  ".#....",
  "...X#.",
  "X.#..G",
)
# Gymnasium's FrozenLake-v1, whose pits cost nothing and whose episodes end after 100 steps.
LAKE = ("S...", ".X.X", "...X", "X..G")
LEARNERS = 200


@ln.pytree_config
class Config:
  """The lesson's settings, where it gives them."""

  slip: float = ln.static(0.1, "chance that a step goes to one of the sides", at_least=0, at_most=1)
  discount: float = ln.traced(0.95, "worth of a reward one step later", at_least=0, below=1)
  epsilon: float = ln.traced(0.9, "share of random actions", at_least=0, at_most=1)
  num_envs: int = ln.static(64, "agents that share the table", at_least=1)
  steps: int = ln.static(300_000, "steps of each of them", at_least=1)
  max_episode_steps: int = ln.static(50, "steps after which an episode is truncated", at_least=1)


def world(config: Config) -> grid_world.World:
  """The map as tables."""
  return grid_world.world(MAP, config.slip)


def environment(config: Config) -> Environment:
  """The world to act in; episodes begin anywhere."""
  return grid_world.environment(world(config), config.max_episode_steps, starts_anywhere=True)


learner = tabular_q_learning(world, environment)


def exact(config: Config) -> np.ndarray:
  """Q*[cell, action] by value iteration."""
  return grid_world.optimal_values(world(config), float(config.discount))


def training(config: Config, seed: int) -> ln.Training:
  """The agents' own experience; the exact values are looked at twenty times, never learnt from."""
  cells, every = world(config).free_cells, max(1, config.steps // 20)
  return ln.Training(
    learner,
    {},
    ln.sampling.without_data(),
    steps=config.steps,
    evaluate={"test": {"cell": cells, "value": exact(config).max(axis=1)[cells]}},
    evaluate_every=every,
    log_every=every,
  )


def lesson(key: jax.Array) -> jax.Array:
  """Q[cell, action] after d2l's section 17.3: its frozen lake, its settings."""
  lake = grid_world.world(LAKE, slip=0.0)
  lake = lake._replace(reward=np.maximum(lake.reward, 0.0))
  return learn_by_episodes(
    lake, key, episodes=256, max_episode_steps=100, epsilon=0.9, learning_rate=0.9, discount=0.95
  )


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """Compares the learnt values and policy with the exact ones."""
  star, learnt, cells = exact(config), np.asarray(fit.state.q), world(config).free_cells
  worst = np.abs(learnt.max(axis=1) - star.max(axis=1))[cells].max()
  best = star[cells, learnt[cells].argmax(axis=1)] >= star[cells].max(axis=1) - 1e-2
  keys = jax.random.split(jax.random.fold_in(fit.state.key, fit.state.step), LEARNERS)
  lakes = jax.jit(jax.vmap(lesson))(keys)
  # Without slips a positive value's best action leads to a greater one, and so to the goal.
  arrived = lakes[:, "".join(LAKE).index(grid_world.START)].max(axis=1) > 0
  claim = ln.claims("Q01")
  far = "grid world, greatest distance of learnt from exact state values"
  fixed = "value iteration's fixed point"
  as_good = "share of cells where the learnt action is worth as much as the best (to 0.01)"
  lake = (
    f"d2l's frozen lake and settings: of {LEARNERS} learners, share whose greedy walk reaches the "
    "goal after 256 episodes"
  )
  claims = [
    claim(far, fixed, worst, ln.at_most(0.01)),
    claim(as_good, "reaches the goal (d2l)", best.mean(), ln.at_least(1), "%"),
    claim(lake, "one does, after about 250 (d2l)", arrived.mean(), ln.at_least(0.5), "%"),
  ]
  values = ln.value_map(
    {"Q-learning": learnt, "value iteration": star},
    MAP,
    title="Values and best actions in the grid world",
    caption="What Q-learning found (left) beside value iteration (right). X are pits, G is the "
    "goal, dark cells are walls; steps slip to the sides.",
  )
  distance = ln.compare_curves(
    {"Q-learning": fit},
    "test/distance",
    title="Distance from the exact values",
    y="mean distance of state values",
    log=True,
    caption="From the values of value iteration, the mean over all states.",
    file="distance",
  )
  return ln.Report(claims, [values, distance])


experiment = ln.single_fit(Config, training, report)
