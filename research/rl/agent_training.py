"""The training of an agent, which makes its own data."""

from research.data import sampling
from research.learner import Config, Learner
from research.rl.agent import Parts, check
from research.rl.dqn import reserve
from research.rl.evaluation import evaluation_episodes
from research.training import Training


def agent_training(
  learner: Learner,
  parts: Parts,
  config: Config,
  *,
  episodes: int,
  evaluations: int,
  rows: int = 1,
  best: str | None = None,
) -> Training:
  """An agent's training on its own experience.

  Args:
    learner: made of the parts; one object for all trainings that are to be lanes of one program.
    parts: of the agent.
    config: that the parts read.
    episodes: of each evaluation; they are separate ones, with keys of their own.
    evaluations: over the run.
    rows: of metrics for each evaluation.
    best: as in `Training`.

  Raises:
    UserError: for settings that contradict each other; where the replay memory does not fit.
  """
  check(parts.agent(config))
  reserve(parts, config)
  steps = parts.steps(config)
  every = max(1, steps // (rows * evaluations))
  return Training(
    learner,
    {},
    sampling.without_data(),
    steps=steps,
    evaluate=evaluation_episodes(episodes),
    evaluate_every=rows * every,
    log_every=every,
    best=best,
  )
