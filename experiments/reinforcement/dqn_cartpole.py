"""DQN balances a pole: CartPole-v1 (Q02).

The environment is gymnasium's, compiled into the learner's step; ten of them feed one update. The
agent of Mnih et al. 2015 with ten-step returns (Sutton 1988) and the square loss: with Nature's
clipped errors the rare ends of episodes are outvoted by all other transitions, and the values grow
without bound.

    python launch.py --experiment=dqn_cartpole
    python launch.py --experiment=dqn_cartpole --trials=1 \\
      --sweep='optimizer.learning_rate=choice(0.004); seeds(8)'

Expected: 500, the most there is, in the last evaluations of 8 of 8 seeds. On two CPU cores the
first command takes 10 seconds from start to end, 6 with a warm compile cache; the second, eight
seeds as lanes of one program and one of them again alone, 21.
"""

from matplotlib.figure import Figure

from research.config import nested, pytree_config, static
from research.figures.curves import compare_curves
from research.figures.policies import film, values_over_frames
from research.lab.experiment import single_fit
from research.models.q_network import DenseTorso
from research.optimizers import Optimizer
from research.report import Claim, Picture, Report, at_least
from research.rl import cart_pole
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training
from research.rl.rollout import play
from research.training import Fit


@pytree_config
class Config:
  """Settings found for ten seconds of two CPU cores, not the source's."""

  agent: DQNConfig = nested(
    DQNConfig(
      num_envs=10,
      learn_period=1,
      batch_size=64,
      replay_capacity=20_000,
      min_replay_size=1_000,
      target_update_period=50,
      discount=0.995,
      epsilon_frames=20_000.0,
      evaluation_epsilon=0.0,
      huber_delta=1e6,
      n_step=10,
    )
  )
  features: int = static(120, "units of the first layer", at_least=1)
  hidden: int = static(84, "units of the second layer", at_least=1)
  optimizer: Optimizer = nested(Optimizer(learning_rate=4e-3, schedule="linear"))
  frames: int = static(60_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = static(20, "episodes of each evaluation", at_least=1)


AGENT = Agent(
  environment=lambda config: cart_pole.environment,
  torso=lambda config: DenseTorso((config.features,)),
)
training = dqn_training(AGENT, evaluations=20)


def report(config: Config, fit: Fit) -> Report:
  """The last three evaluations, and the policy at work."""
  returns = [row["test/return"] for row in fit.history if "test/return" in row]
  played = play(AGENT, config, fit.state, max_steps=cart_pole.MAX_EPISODE_STEPS)
  return Report(
    [
      Claim(
        "Q02",
        f"CartPole-v1, the worst of the last three evaluations, {config.frames:,} steps",
        "475 (gymnasium calls it solved)",
        min(returns[-3:]),
        at_least(475),
      ),
    ],
    [
      Picture(
        "returns",
        returns_figure(config, fit),
        "Separate evaluation episodes without random actions; 500 is the most there is.",
      ),
      values_over_frames(
        played.pictures[:-1][:: max(1, len(played.values) // 5)][:5],
        played.values[:: max(1, len(played.values) // 5)][:5],
        cart_pole.environment.actions,
        title="Expected returns over an episode",
        caption="Both actions are nearly worth the same: a push can be undone by the next.",
        file="values",
      ),
      film(
        played.pictures,
        seconds_per_picture=0.02,
        caption="An evaluation episode of the final policy (a film).",
        file="policy",
      ),
    ],
  )


def returns_figure(config: Config, fit: Fit) -> Figure:
  """Evaluation returns over the updates."""
  return compare_curves(
    {"evaluation": fit},
    "test/return",
    title="CartPole-v1",
    y=f"return (mean of {config.evaluation_episodes} episodes)",
    caption="",
  ).figure


experiment = single_fit(Config, training, report)
