"""Rainbow less one part at a time: what each of six improvements of DQN is worth (Q02).

Hessel et al. 2018, "Rainbow: Combining Improvements in Deep Reinforcement Learning", figure 3: the
agent with all six parts, and six agents that lack one. In the paper's median over 57 Atari games
Rainbow is ahead of DQN and of every part alone, and it loses most without multi-step returns or
priorities, then without the distribution, then without the noise; without the dueling streams or
the double estimate it loses little. Here it is one MinAtar game (Young and Tian 2019) under that
paper's rules, with half its dense layer; each part is a field of `DQNConfig`. The learning rate was
chosen for Rainbow among four, on other seeds (5e-4 to 4e-3: 3.3, 4.0, 6.2, 5.8; DQN 2.9 to 3.9).

    pip install -e '.[rl]'
    python launch.py --experiment=rainbow
    python launch.py --experiment=rainbow --game=asterix
    python launch.py --experiment=rainbow --ablation=add

Expected (mean return over the whole run, five paired seeds, 95 % intervals): Rainbow 4.72, DQN
3.74. All six parts gain 0.98 ± 0.45; multi-step returns 1.01 ± 0.75, noise 0.80 ± 1.14, dueling
0.28 ± 0.47, priorities -0.01 ± 0.96, the distribution -0.18 ± 1.08, the double estimate -0.27 ±
1.23. That Rainbow is ahead of DQN, and by its multi-step returns, is beyond chance; five seeds of
one game leave the other parts undecided. 30 minutes of one core, while the other was busy too.
"""

import research as ln
from research.models.q_network import MINATAR, ConvTorso
from research.rl import minatar
from research.rl.agent import frames_per_step

# Each part: the field that holds it, the field's value without it, and what the paper found.
WITHOUT = {
  "multi-step": ("agent.n_step", 1, "one of the two that matter most"),
  "priorities": ("agent.replay", "uniform", "one of the two that matter most"),
  "distribution": ("agent.distributional", "none", "matters next"),
  "noise": ("agent.noisy", False, "matters less"),
  "dueling": ("agent.dueling", False, "matters little"),
  "double": ("agent.double", False, "matters little"),
}
TITLES = {"remove": "Rainbow, and without each part", "add": "DQN, and with each part"}


@ln.pytree_config
class Config:
  """Settings for less than half an hour of one core."""

  game: str = ln.static("breakout", "which of the five", choices=tuple(minatar.GAMES))
  ablation: str = ln.static("remove", "parts, from Rainbow or to DQN", choices=("remove", "add"))
  agent: ln.DQNConfig = ln.nested(
    ln.rainbow(
      num_envs=16,
      learn_period=1,
      replay_capacity=50_000,
      min_replay_size=2_000,
      target_update_period=200,
      epsilon_frames=50_000.0,
      epsilon_end=0.02,
      evaluation_epsilon=0.0,
      v_min=0.0,  # no game takes points away
      v_max=20.0,  # a point every five steps, for ever, at this discount
    )
  )
  hidden: int = ln.static(64, "units of each dense layer", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(learning_rate=2e-3, schedule="linear"))
  frames: int = ln.static(200_000, "steps of all environments together", at_least=1)
  evaluation_episodes: int = ln.static(30, "episodes of each evaluation", at_least=1)
  repeats: int = ln.static(5, "agents of each kind", at_least=2)


AGENT = ln.Agent(
  environment=lambda config: minatar.environment(config.game),
  torso=lambda config: ConvTorso(MINATAR),
)
training = ln.dqn_training(AGENT, evaluations=10)


def variants(config: Config) -> dict[str, Config]:
  """Rainbow, which is the config itself, DQN, and an agent for each part: without it, or alone."""
  less = lambda parts: ln.replace(config, dict(WITHOUT[part][:2] for part in parts))
  agents = {"Rainbow": config, "DQN": less(WITHOUT)}
  if config.ablation == "remove":
    return agents | {f"no {part}": less([part]) for part in WITHOUT}
  return agents | {f"only {part}": less(set(WITHOUT) - {part}) for part in WITHOUT}


def comparisons(ablation: str) -> dict[str, tuple[str, str, str]]:
  """For each part a variant with it, one without it, and what the paper found."""
  whole = {"all six": ("Rainbow", "DQN", "ahead (Hessel et al. 2018, figure 1: median of Atari)")}
  if ablation == "add":
    return whole | {part: (f"only {part}", "DQN", "none") for part in WITHOUT}
  figure = "(Hessel et al. 2018, figure 3: median of Atari)"
  return whole | {
    part: ("Rainbow", f"no {part}", f"{found} {figure}") for part, (*_, found) in WITHOUT.items()
  }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains all agents from paired seeds and compares their means over all evaluations."""
  fits = lab.compare("race", variants(config), training, repeats=config.repeats)
  means, compared = ln.mean_returns(fits), comparisons(config.ablation)
  gains = {part: means[having] - means[lacking] for part, (having, lacking, _) in compared.items()}
  panels = {part: {"with": fits[a], "without": fits[b]} for part, (a, b, _) in compared.items()}
  game, agents, claim = f"MinAtar {config.game}", f"{config.repeats} agents each", ln.claims("Q02")
  title = f"{game}: {TITLES[config.ablation]}"
  return ln.Report(
    [
      claim(
        f'{game} (sticky 0.1, six actions), mean return over {config.frames:,} frames, "{having}" '
        f'less "{lacking}", {agents}',
        source,
        gains[part].mean(),
        ln.above(0),
        repeats=gains[part],
      )
      for part, (having, lacking, source) in compared.items()
    ],
    [
      ln.compare_panels(
        panels,
        "test/return",
        title=title,
        columns=4,
        y="return",
        caption=f"Mean of {config.evaluation_episodes} separate episodes without exploration; a "
        f"step is {frames_per_step(config.agent)} frames. Lines are means of {agents}, bands one "
        "standard deviation.",
        file="curves",
      ),
      ln.compare_pairs(
        gains,
        title=title,
        x="mean return with the part, less that without it",
        caption=f"Differences of the mean return over all {config.frames:,} frames: a grey dot for "
        "each pair of agents of one seed, a diamond for their mean with its 95 % interval "
        f"(Student's t, {config.repeats} pairs). Where it holds 0, nothing was shown.",
        file="gains",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
