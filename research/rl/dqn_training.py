"""The training of an agent, which makes its own data."""

from collections.abc import Callable

from research.data import sampling
from research.errors import UserError
from research.learner import Config
from research.rl.agent import Agent, check, steps_before_learning
from research.rl.dqn import dqn, reserve
from research.rl.evaluation import evaluation_episodes
from research.training import Training


def dqn_training(
  agent: Agent,
  *,
  evaluations: int | Callable[[Config], int],
  rows: int = 1,
  best: str | None = "validation/return",
) -> Callable[[Config, int], Training]:
  """Makes `training(config, seed)`: an agent's training on its own experience.

  The config's field `evaluation_episodes` counts the episodes of each test. They have keys of their
  own, and so have those of "validation", by which checkpoints and settings are chosen.

  Args:
    agent: what learns; the fields of the config that it reads are named there.
    evaluations: over the run, or a function that reads it from the config.
    rows: of metrics for each evaluation.
    best: as in `Training`.

  The training raises UserError for settings that contradict each other, or with which nothing is
  learnt; where the environment's package is missing; where the replay memory does not fit.
  """

  def training(config: Config, seed: int) -> Training:
    del seed  # the run's key decides
    settings, steps = agent.settings(config), agent.steps(config)
    agent.environment(config)  # refuses a missing package before anything is traced
    check(settings)
    if steps <= (idle := steps_before_learning(settings)):
      raise UserError(
        f"the agent never learns: its first update is at step {idle + 1:,}, and the run ends at "
        f"{steps:,}; give more --frames or a smaller --agent.min_replay_size (now "
        f"{settings.min_replay_size:,})"
      )
    reserve(agent, config)
    count = evaluations(config) if callable(evaluations) else evaluations
    every = max(1, steps // (rows * count))
    return Training(
      dqn(agent),
      {},
      sampling.without_data(),
      steps=steps,
      evaluate=evaluation_episodes(config.evaluation_episodes),
      evaluate_every=rows * every,
      log_every=every,
      best=best,
    )

  return training
