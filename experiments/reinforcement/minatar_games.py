"""DQN on all five games of MinAtar, beside the paper's at its five million frames (Q02).

Young and Tian 2019, "MinAtar: An Atari-inspired testbed", figure 2: the returns of DQN, one curve
per game, read off at 5 million frames. The rules are the paper's: sticky actions with probability
0.1, all six actions, no limit of steps in training (an evaluation stops at 10,000). The paper
averages the returns of training, one random action in ten included; here they are separate episodes
of the greedy policy. The network is the paper's; the agent is that of `dqn_minatar` with three-step
returns. One setting plays every game.

    pip install -e '.[rl]'
    python launch.py --experiment=minatar_games
    python launch.py --experiment=minatar_games --game=space_invaders

Expected, over three seeds: Asterix 41.4 +- 4.5, Breakout 24.5 +- 7.9, Freeway 65.8 +- 0.7, Seaquest
57.0 +- 12, Space Invaders 88.7 +- 1.7, where the paper has 17, 10, 50, 20 and 44; a game took 6.5
to 20 minutes of one CPU core, by what else ran there.
"""

from matplotlib.figure import Figure

from research.config import nested, pytree_config, replace, static
from research.errors import UserError
from research.figures.curves import draw_curve, series
from research.figures.policies import film
from research.figures.style import label_axes, legend_below, new_figure, stroke
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.models.q_network import MINATAR, ConvTorso
from research.optimizers import Optimizer
from research.report import Claim, Picture, Report, at_least
from research.rl import minatar
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training
from research.rl.environment import Environment
from research.rl.rollout import play
from research.training import Fit

ALL = "all"


@pytree_config
class Config:
  """Settings for 6.5 minutes of one core and game, where nothing else runs on it."""

  game: str = static(ALL, "which of the five, or all of them", choices=(ALL, *minatar.GAMES))
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
      n_step=3,
    )
  )
  hidden: int = static(128, "units of the dense layer", at_least=1)
  optimizer: Optimizer = nested(Optimizer(learning_rate=1e-3, schedule="linear"))
  frames: int = static(5_000_000, "steps of all environments together, for each game", at_least=1)
  evaluation_episodes: int = static(30, "episodes of each evaluation", at_least=1)


def environment(config: Config) -> Environment:
  """The game; refuses where it is not one."""
  if config.game == ALL:
    raise UserError("--game=all is five trainings; name one game, as in --game=breakout")
  return minatar.environment(config.game)


AGENT = Agent(
  environment,
  torso=lambda config: ConvTorso(MINATAR),
)
training = dqn_training(AGENT, evaluations=10, rows=5)


def run(config: Config, lab: Lab) -> Report:
  """One agent for each game, one after the other; what counts is its last evaluation."""
  games = list(minatar.GAMES) if config.game == ALL else [config.game]
  players = {game: replace(config, {"game": game}) for game in games}
  fits = {
    game: lab.fit(game, player, training(player, lab.seed)) for game, player in players.items()
  }
  return Report(
    [
      Claim(
        "Q02",
        f"MinAtar {game}, return after {config.frames:,} frames (sticky 0.1, six actions)",
        f"{minatar.PAPER[game]:g} in training at epsilon 0.1 (Young and Tian, read off)",
        fit.last("test/return"),
        at_least(minatar.PAPER[game]),
      )
      for game, fit in fits.items()
    ],
    [
      Picture(
        "returns",
        curves(config, fits),
        f"Mean return of {config.evaluation_episodes} separate episodes without exploration, "
        "against the steps of all environments together. The grey line is what the paper's DQN "
        "reached after 5 million of them, in training.",
      ),
      *(
        film(
          play(AGENT, players[game], fit.state, max_steps=300).pictures,
          seconds_per_picture=0.08,
          caption=f"An evaluation episode of the final policy on {game} (a film).",
          file=game,
        )
        for game, fit in fits.items()
      ),
    ],
  )


def curves(config: Config, fits: dict[str, Fit]) -> Figure:
  """The evaluations of each game, in a panel of its own: a point is something else in each."""
  figure, grid = new_figure("DQN on MinAtar", columns=len(fits), panel_inches=(2.7, 2.9))
  for number, (axes, (game, fit)) in enumerate(zip(grid[0], fits.items(), strict=True)):
    updates, returns = series(fit.history, "test/return")
    frames = updates * config.agent.num_envs * config.agent.learn_period
    axes.axhline(
      minatar.PAPER[game], color="#777777", linewidth=1.2, label="the paper's DQN at 5 million"
    )
    draw_curve(axes, frames / 1e6, returns, name="this agent", look=stroke(0))
    label_axes(axes, "frames (millions)", "" if number else "return", game)
    axes.set_ylim(bottom=0)
  legend_below(figure)
  return figure


experiment = Experiment(Config, run, training)
