"""DQN on MinAtar: Atari's ideas on 10 by 10 pixels (Q02).

Young and Tian 2019, "MinAtar: An Atari-inspired testbed", whose DQN after 5 million frames scores
about 10 on Breakout, 17 on Asterix, 50 on Freeway, 20 on Seaquest, 44 on Space Invaders (read off
its figure). The rules are the paper's: sticky actions with probability 0.1, all six actions, no
limit of steps in training (an evaluation stops at 10,000). The paper averages the returns of
training, one random action in ten included; here they are separate episodes of the greedy policy.
The network is the paper's; the agent acts in several games at once, learns from five-step returns
with double Q-learning and Adam, so that a minute is enough to see it learn.

    pip install -e '.[rl]'
    python launch.py --experiment=dqn_minatar
    python launch.py --experiment=dqn_minatar --game=asterix --frames=5000000

Expected: 15.6 +- 2.6 on Breakout over three seeds, each less than a minute of one CPU core. All
games after 5,000,000 frames: `minatar_games`.
"""

import numpy as np

from research.config import nested, pytree_config, static
from research.figures.curves import compare_curves
from research.figures.policies import film, values_over_frames
from research.lab.experiment import single_fit
from research.models.q_network import MINATAR, ConvTorso
from research.optimizers import Optimizer
from research.report import Claim, Report, at_least
from research.rl import minatar
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training
from research.rl.rollout import play
from research.training import Fit


@pytree_config
class Config:
  """Settings for a minute of one CPU core."""

  game: str = static("breakout", "which of the five", choices=tuple(minatar.GAMES))
  agent: DQNConfig = nested(
    DQNConfig(
      num_envs=16,
      learn_period=1,
      batch_size=32,
      replay_capacity=100_000,
      min_replay_size=5_000,
      target_update_period=200,
      epsilon_frames=50_000.0,
      epsilon_end=0.02,
      evaluation_epsilon=0.0,
      double=True,
      n_step=5,
    )
  )
  hidden: int = static(128, "units of the dense layer", at_least=1)
  optimizer: Optimizer = nested(Optimizer(learning_rate=1e-3, schedule="linear"))
  frames: int = static(800_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = static(30, "episodes of each evaluation", at_least=1)


AGENT = Agent(
  environment=lambda config: minatar.environment(config.game),
  torso=lambda config: ConvTorso(MINATAR),
)
training = dqn_training(AGENT, evaluations=10, rows=5)


def report(config: Config, fit: Fit) -> Report:
  """The last evaluation, beside the paper's DQN after 5 million frames."""
  played = play(AGENT, config, fit.state, max_steps=300)
  chosen = np.linspace(0, len(played.values) - 1, 4).astype(int)
  paper = minatar.PAPER[config.game]
  return Report(
    [
      Claim(
        "Q02",
        f"MinAtar {config.game}, return after {config.frames:,} frames (sticky 0.1, six actions)",
        f"{paper:g} after 5,000,000, in training at epsilon 0.1 (Young and Tian, read off)",
        fit.last("test/return"),
        at_least(paper),
      ),
    ],
    [
      compare_curves(
        {"evaluation": fit},
        "test/return",
        title=f"MinAtar {config.game}",
        y=f"return (mean of {config.evaluation_episodes} episodes)",
        caption="Separate evaluation episodes under the paper's rules, without random actions.",
        file="returns",
      ),
      values_over_frames(
        played.pictures[chosen],
        played.values[chosen],
        minatar.ACTIONS,
        title="Expected returns of the actions in four frames",
        caption=(
          "The best action is filled. Far from a decision all actions are worth nearly the same."
        ),
        file="values",
      ),
      film(
        played.pictures,
        seconds_per_picture=0.08,
        caption="An evaluation episode of the final policy (a film).",
        file="policy",
      ),
    ],
  )


experiment = single_fit(Config, training, report)
