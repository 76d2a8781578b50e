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

import research as ln
from research.models.q_network import DenseTorso
from research.rl import cart_pole


@ln.pytree_config
class Config:
  """Settings found for ten seconds of two CPU cores, not the source's."""

  agent: ln.DQNConfig = ln.nested(
    ln.DQNConfig(
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
  features: int = ln.static(120, "units of the first layer", at_least=1)
  hidden: int = ln.static(84, "units of the second layer", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(learning_rate=4e-3, schedule="linear"))
  frames: int = ln.static(60_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = ln.static(20, "episodes of each evaluation", at_least=1)


AGENT = ln.Agent(
  environment=lambda config: cart_pole.environment,
  torso=lambda config: DenseTorso((config.features,)),
)
training = ln.dqn_training(AGENT, evaluations=20)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The last three evaluations, and an episode of the final policy."""
  claim = ln.claims("Q02")
  played = ln.play(AGENT, config, fit.state, max_steps=cart_pole.MAX_EPISODE_STEPS)
  return ln.Report(
    [
      claim(
        f"CartPole-v1, the worst of the last three evaluations, {config.frames:,} steps",
        "475 (gymnasium calls it solved)",
        min(fit.values("test/return")[-3:]),
        ln.at_least(475),
      ),
    ],
    [
      ln.compare_returns(
        {"evaluation": fit},
        title="CartPole-v1",
        caption="Separate evaluation episodes without random actions; 500 is the most there is.",
      ),
      ln.values_over_frames(
        *played.frames(5),
        cart_pole.environment.actions,
        title="Expected returns over an episode",
        caption="The action that the network holds for the best is filled. To the best policy both "
        "are worth nearly the same: a push can be undone by the next.",
      ),
      ln.film(
        played.pictures,
        seconds_per_picture=0.02,
        caption="An evaluation episode of the final policy (a film).",
      ),
    ],
  )


experiment = ln.single_fit(Config, training, report)
