"""DQN on any gymnasium environment with discrete actions, by its name (Q02).

The agent of Mnih et al. 2015 with double Q-learning (van Hasselt, Guez and Silver 2016), ten-step
returns (Sutton 1988) and the square loss, as in `dqn_cartpole`. Vectors and discrete observations
are encoded by dense layers, images by Nature's convolutions. The bar is the return at which
gymnasium's registration calls the environment solved; where it names none, nothing is claimed. The
environments stay on the host (`research/rl/gymnasium_host.py`); a run resumes to the byte all the
same.

    pip install -e '.[rl]'
    python launch.py --experiment=dqn_gymnasium
    python launch.py --experiment=dqn_gymnasium --game=FrozenLake-v1 --agent.n_step=1

Expected: Acrobot-v1 swings up after 87.5 steps (returns -87.9, -87.1, -87.6 with seeds 0, 1, 2;
solved at -100), in 35 seconds of one CPU core. CartPole-v1 reaches 500, 498.5, 500 (solved at 475)
with the same settings, FrozenLake-v1 0.73 three times by the command above (solved at 0.7: it is
slippery, and ten-step returns give 0.29). MountainCar-v0 stays at -135, -200, -120 after 200,000
steps (solved at -110) and Taxi-v4 at -200 after 300,000 (one seed): random actions hardly ever find
their goals.
"""

import jax
from flax import linen

import research as ln
from research.models.q_network import MINATAR, NATURE, ConvTorso, DenseTorso
from research.rl import gymnasium_host


@ln.pytree_config
class Config:
  """Settings found on Acrobot-v1 for a minute of one CPU core, not the source's."""

  game: str = ln.static("Acrobot-v1", "the environment's registered name, or module:name")
  agent: ln.DQNConfig = ln.nested(
    ln.DQNConfig(
      num_envs=10,
      learn_period=1,
      batch_size=64,
      replay_capacity=50_000,
      min_replay_size=1_000,
      target_update_period=100,
      discount=0.995,
      epsilon_frames=20_000.0,
      epsilon_end=0.05,
      evaluation_epsilon=0.0,
      huber_delta=1e6,
      double=True,
      n_step=10,
    )
  )
  features: int = ln.static(128, "units of the first layer, for vectors", at_least=1)
  hidden: int = ln.static(128, "units of the last hidden layer", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(learning_rate=1e-3, schedule="linear"))
  frames: int = ln.static(100_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = ln.static(100, "episodes of each evaluation", at_least=1)


def torso(config: Config) -> linen.Module:
  """Dense for vectors; Nature's convolutions for images, MinAtar's for very small ones."""
  reset = gymnasium_host.environment(config.game).reset
  height, *image = jax.eval_shape(reset, jax.random.key(0))[1].shape
  if not image:
    return DenseTorso((config.features,))
  return ConvTorso(NATURE if min(height, image[0]) >= 36 else MINATAR)


AGENT = ln.Agent(lambda config: gymnasium_host.environment(config.game), torso)
training = ln.dqn_training(AGENT, evaluations=10, rows=5)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The last evaluation beside the return at which gymnasium calls the environment solved."""
  solved, curves, claims = gymnasium_host.threshold(config.game), {"evaluation": fit}, []
  if solved is not None:
    rows = [row | {"test/return": solved} for row in fit.history if "test/return" in row]
    curves["solved"] = fit._replace(history=rows)
    claims.append(
      ln.claims("Q02")(
        f"{config.game}, mean return of {config.evaluation_episodes} episodes after "
        f"{config.frames:,} steps",
        f"{solved:g} (gymnasium calls it solved)",
        fit.last("test/return"),
        ln.at_least(solved),
      )
    )
  caption = "Separate evaluation episodes without random actions."
  returns = ln.compare_returns(curves, title=config.game, caption=caption)
  can_draw = gymnasium_host.can_draw(config.game)
  return ln.Report(claims, [returns, *(episode(config, fit) if can_draw else ())])


def episode(config: Config, fit: ln.Fit) -> list[ln.Picture]:
  """An evaluation episode of the final policy."""
  environment = gymnasium_host.environment(config.game)
  played = ln.play(AGENT, config, fit.state, max_steps=environment.max_evaluation_steps)
  return [
    ln.values_over_frames(
      *played.frames(5),
      environment.actions,
      title="Expected returns of the actions over an episode",
      caption="By gymnasium's numbers; the action that the network holds for the best is filled.",
    ),
    ln.film(
      played.pictures,
      seconds_per_picture=0.04,
      caption="An evaluation episode of the final policy (a film).",
    ),
  ]


experiment = ln.single_fit(Config, training, report)
