"""How an agent's run is divided into rows and evaluations."""

import pytest

from experiments.reinforcement import dqn_catch
from research.config import replace
from research.errors import UserError
from research.lab.agent_training import agent_training


@pytest.mark.parametrize(
  ("frames", "evaluations", "rows", "log_every", "evaluate_every"),
  [(4_000, 10, 1, 100, 100), (4_000, 10, 5, 20, 100), (4_040, 10, 5, 20, 100), (8, 10, 5, 1, 5)],
)
def test_the_run_is_divided_evenly(frames, evaluations, rows, log_every, evaluate_every):
  config = replace(dqn_catch.Config(), {"frames": frames})
  made = agent_training(
    dqn_catch.learner, dqn_catch.PARTS, config, episodes=3, evaluations=evaluations, rows=rows
  )
  assert made.steps == -(-frames // config.agent.environments)
  assert (made.log_every, made.evaluate_every) == (log_every, evaluate_every)
  assert made.evaluate["test"]["episode"].tolist() == [0, 1, 2] and made.best is None


def test_settings_that_contradict_each_other_are_refused():
  changes = {"agent.distributional": "c51", "agent.lowest": 1.0, "agent.highest": 1.0}
  with pytest.raises(UserError, match=r"agent\.lowest=1 is not below"):
    dqn_catch.training(replace(dqn_catch.Config(), changes))
