"""DQN catches the ball from pixels; without replay it does worse (Q02).

Catch (Mnih et al. 2014, in the form of bsuite) on 10 by 10 pixels; the agent of Mnih et al. 2015
with a small network and Adam, its memory and intervals scaled down to 50,000 frames. The ablations
are those of the paper's extended data table 3: "no replay" learns from the newest transitions only
(32, the last eight time steps of four environments, so that each is learnt from eight times), "no
target network" copies after every update; each is the change of one field.

    python launch.py --experiment=dqn_catch
    python launch.py --experiment=dqn_catch --agent.replay=latest

Expected: 1.00, every ball, for 5 agents of 5. Over the whole run the agent is 0.33 ± 0.14 ahead of
"no replay" and 0.30 ± 0.10 of "neither", but 0.01 ± 0.03 of "no target network", which is nothing:
with a ball that is caught within nine steps, errors have nowhere to run away to. About 2 minutes on
two CPU cores.
"""

import functools

import numpy as np

import research as ln
from research.models.q_network import MINATAR, ConvTorso
from research.rl import catch


@ln.pytree_config
class Config:
  """Settings for two minutes of two CPU cores, all agents together."""

  agent: ln.DQNConfig = ln.nested(
    ln.DQNConfig(
      num_envs=4,
      learn_period=1,
      replay_capacity=20_000,
      min_replay_size=500,
      target_update_period=100,
      epsilon_frames=10_000.0,
      epsilon_end=0.05,
      evaluation_epsilon=0.0,
    )
  )
  hidden: int = ln.static(64, "units of the dense layer", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(learning_rate=1e-3))
  frames: int = ln.static(50_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = ln.static(200, "episodes of each evaluation", at_least=1)
  repeats: int = ln.static(5, "agents of each kind", at_least=1)


AGENT = ln.Agent(
  environment=lambda config: catch.environment,
  torso=lambda config: ConvTorso(MINATAR),
)
training = ln.dqn_training(AGENT, evaluations=20)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Compares the agent with its ablations, each several times from paired seeds."""
  no_replay, no_target = {"agent.replay": "latest"}, {"agent.target_update_period": 1}
  variants = {
    "DQN": config,
    "no replay": ln.replace(config, no_replay),
    "no target network": ln.replace(config, no_target),
    "neither": ln.replace(config, no_replay | no_target),
  }
  fits = lab.compare("race", variants, training, repeats=config.repeats)
  claim, agents, count, means = ln.claims("Q02"), fits["DQN"], config.repeats, ln.mean_returns(fits)
  play = functools.partial(ln.play, AGENT, config, agents[0].state, max_steps=catch.STEPS)
  played = [play(episode=episode) for episode in range(8)]
  return ln.Report(
    [
      claim(
        f"Catch from pixels, mean reward after {config.frames:,} frames, least of {count} agents",
        "1 (every ball)",
        min(agent.last("test/return") for agent in agents),
        ln.at_least(0.95),
      ),
      *(
        claim(
          f"mean reward over the whole run, DQN less {name}, {count} agents each",
          "both help (Nature, extended data table 3)",
          (means["DQN"] - means[name]).mean(),
          ln.above(0),
          repeats=means["DQN"] - means[name],
        )
        for name in list(variants)[1:]
      ),
    ],
    [
      ln.compare_returns(
        fits,
        title="Catch from pixels",
        caption="Separate evaluation episodes without random actions; 1 is every ball caught. "
        f"Lines are means of {count} agents, bands one standard deviation.",
      ),
      ln.values_over_frames(
        *played[0].frames(5),
        catch.environment.actions,
        title="Expected rewards of the actions as the ball falls",
        caption="To the best policy every action is worth the whole reward while there is time.",
      ),
      ln.film(
        np.concatenate([one.pictures for one in played]),
        seconds_per_picture=0.12,
        caption="Eight evaluation episodes of the final policy (a film).",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
