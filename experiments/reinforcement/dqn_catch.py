"""DQN catches the ball from pixels; without replay it does worse (Q02).

Catch (Mnih et al. 2014, in the form of bsuite) on 10 by 10 pixels; the agent of Mnih et al. 2015
with a small network and Adam, its memory and intervals scaled down to 50,000 frames. The ablations
are those of the paper's extended data table 3: "no replay" learns from the newest transitions only
(32, the last eight moments of four environments, so that each is learnt from eight times), "no
target network" copies after every update; each is the change of one field.

    python launch.py --experiment=dqn_catch
    python launch.py --experiment=dqn_catch --agent.replay=latest

Expected: 1.00, every ball, for 5 agents of 5. Over the whole run the agent is 0.33 ± 0.14 ahead of
"no replay" and 0.30 ± 0.10 of "neither", but 0.01 ± 0.03 of "no target network", which is nothing:
with a ball that is caught within nine steps, errors have nowhere to run away to. About 2 minutes on
two CPU cores.
"""

import numpy as np

from research.config import nested, pytree_config, replace, static
from research.figures.curves import compare_curves
from research.figures.policies import film, values_over_frames
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.models.q_network import MINATAR, ConvTorso
from research.optimizers import Optimizer
from research.report import Claim, Report, above, at_least
from research.rl import catch
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training
from research.rl.rollout import play


@pytree_config
class Config:
  """Settings for two minutes of two CPU cores, all agents together."""

  agent: DQNConfig = nested(
    DQNConfig(
      num_envs=4,
      learn_period=1,
      batch_size=32,
      replay_capacity=20_000,
      min_replay_size=500,
      target_update_period=100,
      epsilon_frames=10_000.0,
      epsilon_end=0.05,
      evaluation_epsilon=0.0,
    )
  )
  hidden: int = static(64, "units of the dense layer", at_least=1)
  optimizer: Optimizer = nested(Optimizer(learning_rate=1e-3))
  frames: int = static(50_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = static(200, "episodes of each evaluation", at_least=1)
  repeats: int = static(5, "agents of each kind", at_least=1)


AGENT = Agent(
  environment=lambda config: catch.environment,
  torso=lambda config: ConvTorso(MINATAR),
)
training = dqn_training(AGENT, evaluations=20)


def run(config: Config, lab: Lab) -> Report:
  """Compares the agent as it is and the ablations, each several times, over paired seeds."""
  fits = lab.compare(
    "race",
    {
      "DQN": config,
      "no replay": replace(config, {"agent.replay": "latest"}),
      "no target network": replace(config, {"agent.target_update_period": 1}),
      "neither": replace(config, {"agent.replay": "latest", "agent.target_update_period": 1}),
    },
    training,
    repeats=config.repeats,
  )
  agents = fits["DQN"]
  played = [
    play(AGENT, config, agents[0].state, max_steps=catch.STEPS, episode=n) for n in range(8)
  ]
  first = played[0]
  rewards = lambda fit: [row["test/return"] for row in fit.history if "test/return" in row]
  area = {name: np.array([np.mean(rewards(fit)) for fit in each]) for name, each in fits.items()}
  return Report(
    [
      Claim(
        "Q02",
        f"Catch from pixels, mean reward after {config.frames:,} frames, least of "
        f"{config.repeats} agents",
        "1 (every ball)",
        min(agent.last("test/return") for agent in agents),
        at_least(0.95),
      ),
      *(
        Claim(
          "Q02",
          f"mean reward over the whole run, DQN less {name}, {config.repeats} agents each",
          "both help (Nature, extended data table 3)",
          (area["DQN"] - area[name]).mean(),
          above(0),
          repeats=area["DQN"] - area[name],
        )
        for name in list(fits)[1:]
      ),
    ],
    [
      compare_curves(
        fits,
        "test/return",
        title="Catch from pixels",
        y=f"reward (mean of {config.evaluation_episodes} episodes)",
        caption=(
          "Separate evaluation episodes without random actions; 1 is every ball caught. Lines are "
          f"means of {config.repeats} agents, bands one standard deviation."
        ),
        file="returns",
      ),
      values_over_frames(
        first.pictures[:-1:2],
        first.values[::2],
        catch.environment.actions,
        title="Expected rewards of the actions as the ball falls",
        caption="While there is time, every action is worth the whole reward; at the end one is.",
        file="values",
      ),
      film(
        np.concatenate([one.pictures for one in played]),
        seconds_per_picture=0.12,
        caption="Eight evaluation episodes of the final policy (a film).",
        file="policy",
      ),
    ],
  )


experiment = Experiment(Config, run, training)
