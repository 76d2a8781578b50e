"""DQN on MinAtar: Atari's ideas on 10 by 10 pixels, in one game or in all five (Q02).

Young and Tian 2019, "MinAtar: An Atari-inspired testbed", figure 2: their DQN after 5 million
frames scores about 10 on Breakout, 17 on Asterix, 50 on Freeway, 20 on Seaquest, 44 on Space
Invaders (read off). The rules are the paper's: sticky actions with probability 0.1, all six
actions, no limit of steps in training (an evaluation stops at 10,000). The paper averages the
returns of training, one random action in ten included; here they are separate episodes of the
greedy policy. The network is the paper's; the agent acts in several games at once, learns from
five-step returns with double Q-learning and Adam, so that a minute is enough to see it learn.

    pip install -e '.[rl]'
    python launch.py --experiment=dqn_minatar
    python launch.py --experiment=dqn_minatar --game=all --frames=5000000 --agent.n_step=3

Expected: 15.6 +- 2.6 on Breakout over three seeds, each less than a minute of one CPU core. The
second command plays every game with one setting: over three seeds Asterix 41.4 +- 4.5, Breakout
24.5 +- 7.9, Freeway 65.8 +- 0.7, Seaquest 57.0 +- 12, Space Invaders 88.7 +- 1.7; a game took 6.5
to 20 minutes of one CPU core, by what else ran there.
"""

import research as ln
from research.models.q_network import MINATAR, ConvTorso
from research.rl import minatar
from research.rl.agent import frames_per_step
from research.rl.environment import Environment

ALL = "all"


@ln.pytree_config
class Config:
  """Settings for a minute of one CPU core."""

  game: str = ln.static("breakout", "which of the five, or all", choices=(ALL, *minatar.GAMES))
  agent: ln.DQNConfig = ln.nested(
    ln.DQNConfig(
      num_envs=16,
      learn_period=1,
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
  hidden: int = ln.static(128, "units of the dense layer", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(learning_rate=1e-3, schedule="linear"))
  frames: int = ln.static(800_000, "steps of all environments together, in a game", at_least=1)
  evaluation_episodes: int = ln.static(30, "episodes of each evaluation", at_least=1)


def environment(config: Config) -> Environment:
  """The game; raises UserError for all of them."""
  if config.game == ALL:
    raise ln.UserError("--game=all is five trainings; name one game, as in --game=breakout")
  return minatar.environment(config.game)


AGENT = ln.Agent(environment, torso=lambda config: ConvTorso(MINATAR))
training = ln.dqn_training(AGENT, evaluations=10, rows=5)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains and judges one agent, or one for each game."""
  if config.game != ALL:
    return report(config, lab.fit("train", config, training(config, lab.seed)))
  players = {game: ln.replace(config, {"game": game}) for game in minatar.GAMES}
  fits = ln.fit_each(lab, players, training)
  returns = ln.returns_by_game(
    fits,
    minatar.PAPER,
    title="DQN on MinAtar",
    baseline="the paper's DQN at 5 million",
    frames_per_step=frames_per_step(config.agent),
    caption=f"Mean return of {config.evaluation_episodes} separate episodes without exploration, "
    "against the steps of all environments together. The grey line is what the paper's DQN reached "
    "after 5 million of them, in training.",
  )
  films = [policy(game, fit) for game, fit in fits.items()]
  return ln.Report([score(fit) for fit in fits.values()], [returns, *films])


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The last evaluation of one game, and an episode of the final policy."""
  played = ln.play(AGENT, config, fit.state, max_steps=300)
  return ln.Report(
    [score(fit)],
    [
      ln.compare_returns(
        {"evaluation": fit},
        title=f"MinAtar {config.game}",
        caption="Separate evaluation episodes under the paper's rules, without random actions.",
      ),
      ln.values_over_frames(
        *played.frames(4),
        minatar.ACTIONS,
        title="Expected returns of the actions in four frames",
        caption="The action that the network holds for the best is filled.",
      ),
      ln.film(
        played.pictures,
        seconds_per_picture=0.08,
        caption="An evaluation episode of the final policy (a film).",
      ),
    ],
  )


def score(fit: ln.Fit) -> ln.Claim:
  """The last evaluation, beside the return of the paper's DQN."""
  game, frames = fit.config.game, fit.config.frames
  after = "" if frames == minatar.PAPER_FRAMES else f" after {minatar.PAPER_FRAMES:,},"
  return ln.claims("Q02")(
    f"MinAtar {game}, return after {frames:,} frames (sticky 0.1, six actions)",
    f"{minatar.PAPER[game]:g}{after} in training at epsilon 0.1 (Young and Tian, read off)",
    fit.last("test/return"),
    ln.at_least(minatar.PAPER[game]),
  )


def policy(game: str, fit: ln.Fit) -> ln.Picture:
  """A film of one game."""
  played = ln.play(AGENT, fit.config, fit.state, max_steps=300)
  caption = f"An evaluation episode of the final policy on {game} (a film)."
  return ln.film(played.pictures, seconds_per_picture=0.08, caption=caption, file=game)


ALL_GAMES = {"game": ALL, "frames": minatar.PAPER_FRAMES, "agent.n_step": 3}
experiment = ln.Experiment(Config, run, training, report, verified=({}, ALL_GAMES))
