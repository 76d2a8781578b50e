"""The training of an agent, which makes its own data."""

from research.data import sampling
from research.errors import UserError
from research.learner import Config, Learner
from research.rl.agent import Parts, check, steps_before_learning
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
    episodes: of each test; they are separate ones, with keys of their own, and so are those of
      "validation", by which checkpoints and settings are chosen.
    evaluations: over the run.
    rows: of metrics for each evaluation.
    best: as in `Training`.

  Raises:
    UserError: for settings that contradict each other, or with which nothing is learnt; where the
      replay memory does not fit.
  """
  agent = parts.agent(config)
  check(agent)
  steps = parts.steps(config)
  if steps <= (idle := steps_before_learning(agent)):
    raise UserError(
      f"the agent never learns: its first update is at step {idle + 1:,}, and the run ends at "
      f"{steps:,}; give more --frames or fewer --agent.learning_starts (now "
      f"{agent.learning_starts:,})"
    )
  reserve(parts, config)
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
