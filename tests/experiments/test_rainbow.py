"""The ablation of Rainbow: who takes part, what is compared, and what is made of it."""

import types

import jax
import pytest

from experiments.reinforcement import rainbow
from research.config import flatten, replace
from research.rl import catch
from research.rl.dqn import dqn
from research.training import Fit

pytestmark = pytest.mark.fast

REMOVE, ADD = rainbow.Config(), rainbow.Config(ablation="add")
DQN = {
  "agent.n_step": 1,
  "agent.replay": "uniform",
  "agent.distributional": "none",
  "agent.noisy": False,
  "agent.dueling": False,
  "agent.double": False,
}


def changes(members, name, to):
  """The fields in which one member differs from another, and what they are in it."""
  ours, theirs = flatten(members[name]), flatten(members[to])
  return {field: value for field, value in ours.items() if theirs[field] != value}


def test_every_agent_differs_from_rainbow_or_from_dqn_by_one_field():
  removed, added = rainbow.variants(REMOVE), rainbow.variants(ADD)
  assert changes(removed, "DQN", "Rainbow") == changes(added, "DQN", "Rainbow") == DQN
  assert len(removed) == len(added) == 8
  without = [changes(removed, name, "Rainbow") for name in removed if name.startswith("no ")]
  assert without == [{field: off} for field, off in DQN.items()]
  alone = [changes(added, name, "DQN") for name in added if name.startswith("only ")]
  assert [list(change) for change in alone] == [[field] for field in DQN]
  for ablation, members in (("remove", removed), ("add", added)):
    named = {name for *pair, _ in rainbow.comparisons(ablation).values() for name in pair}
    assert named == set(members)


def test_what_is_asked_for_is_what_rainbow_has():
  members = rainbow.variants(replace(ADD, {"agent.n_step": 5}))
  assert changes(members, "only multi-step", "DQN") == {"agent.n_step": 5}


def test_the_agents_can_be_laid_out_without_being_run(monkeypatch):
  # Catch has one channel and three actions, and needs no package of games.
  games = types.SimpleNamespace(environment=lambda game: catch.environment)
  monkeypatch.setattr(rainbow, "minatar", games)
  members = rainbow.variants(REMOVE)

  def parameters(name):
    state = jax.eval_shape(dqn(rainbow.AGENT).init, members[name], jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))

  torso, hidden = 3 * 3 * 16 + 16, 1024 * 64 + 64
  assert parameters("DQN") == torso + hidden + 64 * 3 + 3
  value, advantages = hidden + 64 * 51 + 51, hidden + 64 * 153 + 153
  assert parameters("Rainbow") == torso + 2 * (value + advantages)  # a mean and a deviation each
  assert parameters("no dueling") == torso + 2 * advantages
  training = rainbow.training(REMOVE, 0)
  assert training.steps * REMOVE.agent.num_envs == REMOVE.frames
  assert training.steps % training.evaluate_every == 0
  assert training.best == "validation/return"  # which a sweep ranks


class Made:
  """A lab whose comparisons are over: Rainbow is 3 ahead of DQN, and each other agent 1 of DQN."""

  def compare(self, name, configs, training, *, repeats):
    ahead = {"Rainbow": 3.0, "DQN": 0.0}
    return {
      member: [
        Fit(name, config, None, self._history(ahead.get(member, 1.0), seed), lambda: None, None)
        for seed in range(repeats)
      ]
      for member, config in configs.items()
    }

  def _history(self, ahead, seed):
    # Seeds differ by 10, which pairs cancel; only the last of three evaluations is ahead.
    rows = [(0, 10.0 * seed), (50, 10.0 * seed), (100, 10.0 * seed + 3 * ahead * (1 + 0.1 * seed))]
    rows = [{"fit": "race", "step": step, "test/return": value} for step, value in rows]
    return [*rows, {"fit": "race", "step": 110, "train/loss": 1.0}]


@pytest.mark.parametrize(("config", "part"), [(REMOVE, 2.0), (ADD, 1.0)])
def test_pairs_are_compared_seed_by_seed(config, part):
  report = rainbow.run(config, Made())
  assert [claim.ours for claim in report.claims] == pytest.approx([3.6, *[1.2 * part] * 6])
  assert report.claims[0].repeats == pytest.approx([3.0, 3.3, 3.6, 3.9, 4.2])
  assert {claim.verdict for claim in report.claims} == {"pass"}
  curves, gains = (picture.figure for picture in report.pictures)
  assert sum(axes.get_visible() for axes in curves.axes) == 7
  (axes,) = gains.axes
  # Differences 3, 3.3, ... 4.2 have the deviation 0.474; t is 2.776 for five.
  assert axes.texts[0].get_text() == "+3.60 ± 0.59"
  assert [label.get_text() for label in axes.get_yticklabels()] == ["all six", *rainbow.WITHOUT]
