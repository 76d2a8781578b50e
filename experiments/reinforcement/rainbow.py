"""Rainbow less one part at a time: what each of six improvements of DQN is worth (Q02).

Hessel et al. 2018, "Rainbow: Combining Improvements in Deep Reinforcement Learning", figure 3: the
agent with all six parts, and six agents that lack one. In the paper's median over 57 Atari games
Rainbow is ahead of DQN and of every part alone, and it loses most without multi-step returns or
priorities, then without the distribution, then without the noise; without the dueling streams or
the double estimate it loses little. Here it is one MinAtar game (Young and Tian 2019) under that
paper's rules, with half its dense layer; each part is one field of `DQNConfig`. The learning rate
was chosen for Rainbow among four, on other seeds (5e-4 to 4e-3: 3.3, 4.0, 6.2, 5.8; DQN 2.9 to
3.9).

    pip install -e '.[rl]'
    python launch.py --experiment=rainbow
    python launch.py --experiment=rainbow --game=asterix
    python launch.py --experiment=rainbow --ablation=add

Expected (mean return over the whole run, five paired seeds, 95 % intervals): Rainbow 4.72, DQN
3.74. All six parts gain 0.98 ± 0.45; multi-step returns 1.01 ± 0.75, noise 0.80 ± 1.14, dueling
0.28 ± 0.47, priorities -0.01 ± 0.96, the distribution -0.18 ± 1.08, the double estimate -0.27 ±
1.23. That Rainbow is ahead of DQN, and by its multi-step returns, is beyond chance; five seeds of
one game say nothing sure of the other parts. The claims for priorities, the distribution and the
double estimate fail and stay. 30 minutes of one core, while the other was busy too.
"""

from typing import Any, NamedTuple

import numpy as np

from research.config import nested, pytree_config, replace, static
from research.figures.curves import compare_panels
from research.figures.differences import compare_pairs
from research.lab.experiment import Experiment
from research.lab.lab import Lab
from research.models.q_network import MINATAR, ConvTorso
from research.optimizers import Optimizer
from research.report import Claim, Report, above
from research.rl import minatar
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training

# Each part: the field that holds it and the field's value without it, and what the paper found.
WITHOUT: dict[str, tuple[str, Any, str]] = {
  "multi-step": ("agent.n_step", 1, "one of the two that matter most"),
  "priorities": ("agent.replay", "uniform", "one of the two that matter most"),
  "distribution": ("agent.distributional", "none", "matters next"),
  "noise": ("agent.noisy", False, "matters less"),
  "dueling": ("agent.dueling", False, "matters little"),
  "double": ("agent.double", False, "matters little"),
}
ALL = "all six"
TITLES = {"remove": "Rainbow, and without each part", "add": "DQN, and with each part"}


@pytree_config
class Config:
  """Settings for less than half an hour of one core."""

  game: str = static("breakout", "which of the five", choices=tuple(minatar.GAMES))
  ablation: str = static(
    "remove", "parts are taken out of Rainbow, or put into DQN", choices=("remove", "add")
  )
  agent: DQNConfig = nested(
    DQNConfig(
      num_envs=16,
      learn_period=1,
      batch_size=32,
      replay_capacity=50_000,
      min_replay_size=2_000,
      target_update_period=200,
      epsilon_frames=50_000.0,
      epsilon_end=0.02,
      evaluation_epsilon=0.0,
      n_step=3,
      replay="prioritised",
      distributional="c51",
      v_min=0.0,  # no game takes points away
      v_max=20.0,  # a point every five steps, for ever, at this discount
      noisy=True,
      dueling=True,
      double=True,
    )
  )
  hidden: int = static(64, "units of each dense layer", at_least=1)
  optimizer: Optimizer = nested(Optimizer(learning_rate=2e-3, schedule="linear"))
  frames: int = static(200_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = static(30, "episodes of each evaluation", at_least=1)
  repeats: int = static(5, "agents of each kind", at_least=2)


AGENT = Agent(
  environment=lambda config: minatar.environment(config.game),
  torso=lambda config: ConvTorso(MINATAR),
)
training = dqn_training(AGENT, evaluations=10)


class Pair(NamedTuple):
  """Two members of the comparison that differ by a part, by name."""

  having: str
  lacking: str


def pairs(ablation: str) -> dict[str, Pair]:
  """Returns the pairs of agents that are compared, by part."""
  whole = {ALL: Pair("Rainbow", "DQN")}
  if ablation == "remove":
    return whole | {name: Pair("Rainbow", f"no {name}") for name in WITHOUT}
  return whole | {name: Pair(f"only {name}", "DQN") for name in WITHOUT}


def members(config: Config) -> dict[str, Config]:
  """Rainbow, which is the config itself, DQN, and an agent for each part: without it, or alone."""

  def less(*parts: str) -> Config:
    return replace(config, {field: off for field, off, _ in map(WITHOUT.__getitem__, parts)})

  agents = {"Rainbow": config, "DQN": less(*WITHOUT)}
  for name in WITHOUT:
    if config.ablation == "remove":
      agents[f"no {name}"] = less(name)
    else:
      agents[f"only {name}"] = less(*(set(WITHOUT) - {name}))
  return agents


def run(config: Config, lab: Lab) -> Report:
  """Compares all agents over paired seeds, by their mean over all evaluations."""
  fits = lab.compare("race", members(config), training, repeats=config.repeats)
  returns = lambda fit: [row["test/return"] for row in fit.history if "test/return" in row]
  area = {name: np.array([np.mean(returns(fit)) for fit in each]) for name, each in fits.items()}
  compared = pairs(config.ablation)
  gains = {name: area[having] - area[lacking] for name, (having, lacking) in compared.items()}
  panels = {
    name: {
      "with": [fit.history for fit in fits[having]],
      "without": [fit.history for fit in fits[lacking]],
    }
    for name, (having, lacking) in compared.items()
  }
  game, agents = f"MinAtar {config.game}", f"{config.repeats} agents each"
  title = f"{game}: {TITLES[config.ablation]}"
  return Report(
    [
      Claim(
        "Q02",
        f'{game} (sticky 0.1, six actions), mean return over {config.frames:,} frames, "{having}" '
        f'less "{lacking}", {agents}',
        source_of(config, name),
        gains[name].mean(),
        above(0),
        repeats=gains[name],
      )
      for name, (having, lacking) in compared.items()
    ],
    [
      compare_panels(
        panels,
        "test/return",
        title=title,
        columns=4,
        y="return",
        caption=f"Mean of {config.evaluation_episodes} separate episodes without exploration; a "
        "step "
        "is "
        f"{config.agent.num_envs * config.agent.learn_period} frames. Lines are means of "
        f"{agents}, bands one standard deviation.",
        file="curves",
      ),
      compare_pairs(
        gains,
        title=title,
        x="mean return with the part, less that without it",
        caption=f"Differences of the mean return over all {config.frames:,} frames: a grey dot for "
        "each "
        f"pair of agents of one seed, a diamond for their mean with its 95 % interval "
        f"(Student's t, {config.repeats} pairs). Where it holds 0, nothing was shown.",
        file="gains",
      ),
    ],
  )


def source_of(config: Config, name: str) -> str:
  """What the paper found of a part, or of all."""
  if name == ALL:
    return "ahead (Hessel et al. 2018, figure 1: median of Atari)"
  if config.ablation == "add":
    return "none"  # its agents of one part are those of the parts' own papers
  return f"{WITHOUT[name][2]} (Hessel et al. 2018, figure 3: median of Atari)"


experiment = Experiment(Config, run, training)
