"""How an agent's run is divided into rows and evaluations."""

import jax
import pytest

from experiments.reinforcement import dqn_catch
from research import free_memory, lanes
from research.config import replace
from research.errors import UserError
from research.lab import registry
from research.lab.lab import Lab
from research.rl.agent import steps_before_learning
from research.rl.dqn import dqn
from research.rl.dqn_training import dqn_training
from research.rl.evaluation import evaluation_episodes
from research.sweep.slots import Slots
from research.training import Options

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
  ("frames", "evaluations", "rows", "log_every", "evaluate_every"),
  [(4_000, 10, 1, 100, 100), (4_000, 10, 5, 20, 100), (4_040, 10, 5, 20, 100), (8, 10, 5, 1, 5)],
)
def test_the_run_is_divided_evenly(frames, evaluations, rows, log_every, evaluate_every):
  config = replace(dqn_catch.Config(), {"frames": frames, "agent.min_replay_size": 1})
  training = dqn_training(dqn_catch.AGENT, evaluations=evaluations, rows=rows, best=None)
  made = training(replace(config, {"evaluation_episodes": 3}), 0)
  assert made.steps == -(-frames // config.agent.num_envs)
  assert (made.log_every, made.evaluate_every) == (log_every, evaluate_every)
  assert made.evaluate["test"]["episode"].tolist() == [0, 1, 2] and made.best is None


def test_what_is_chosen_by_is_not_what_is_reported():
  for count in (1, 3, 30):
    episodes = evaluation_episodes(count)
    reported, chosen_by = (set(episodes[split]["episode"]) for split in ("test", "validation"))
    assert reported == set(range(count)) and chosen_by and not reported & chosen_by
  for path in (registry.ROOT / "reinforcement").glob("*.py"):
    assert 'best="test' not in path.read_text("utf-8"), path.name
  assert dqn_catch.training(dqn_catch.Config(), 0).best == "validation/return"


def test_an_agent_that_would_never_learn_is_refused():
  agent = dqn_catch.Config().agent
  enough = steps_before_learning(agent) * agent.num_envs
  with pytest.raises(UserError, match=r"never learns.*--agent\.min_replay_size \(now 500\)"):
    dqn_catch.training(replace(dqn_catch.Config(), {"frames": enough}), 0)
  dqn_catch.training(replace(dqn_catch.Config(), {"frames": enough + 1}), 0)


def test_settings_that_contradict_each_other_are_refused():
  changes = {"agent.distributional": "c51", "agent.v_min": 1.0, "agent.v_max": 1.0}
  with pytest.raises(UserError, match=r"agent\.v_min=1 is not below"):
    dqn_catch.training(replace(dqn_catch.Config(), changes), 0)


def test_lanes_that_do_not_fit_together_are_refused_before_there_is_one(monkeypatch, tmp_path):
  config, learner = dqn_catch.Config(), dqn(dqn_catch.AGENT)
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  one = free_memory.bytes_of(state)
  monkeypatch.setattr(free_memory, "available_bytes", lambda: 2 * 3 * one + 1)  # for three, saved
  lab = Lab(tmp_path, seed=0, options=Options())
  with pytest.raises(UserError, match=r"what 4 lanes hold would take 13\.1 MB .* let fewer train"):
    lab.compare("race", {"DQN": config}, dqn_catch.training, repeats=4)
  with pytest.raises(UserError, match="what 4 lanes hold"):
    Slots(dqn_catch.training(config, 0), config, 4, "auto", jax.random.key(0))
  assert not list(tmp_path.glob("checkpoints/*"))
  lanes.reserve(learner, config, 3)
