"""The experiments of the family at a size at which only their wiring can be seen."""

import types

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.reinforcement import (
  dqn_atari,
  dqn_cartpole,
  dqn_catch,
  dqn_gymnasium,
  dqn_minatar,
  q_learning,
)
from research.config import replace
from research.errors import UserError
from research.figures.policies import film
from research.rl import catch, grid_world, minatar, rollout
from research.rl.dqn import dqn
from research.rl.rollout import Played
from research.training import Fit


def test_the_grid_has_a_way_to_its_goal_and_a_dilemma():
  star = q_learning.exact(q_learning.Config())
  world = q_learning.world(q_learning.Config())
  assert star[world.start].max() > 0.2
  # Between the two pits every move may slip into one.
  between = 2 * 6 + 3
  assert world.chance[between, grid_world.ACTIONS.index("right")][[9, 21]].sum() == pytest.approx(
    0.1
  )


def test_the_lesson_on_the_frozen_lake_learns_no_more_than_the_exact_values():
  lake = grid_world.world(q_learning.LAKE, 0.0)
  star = grid_world.optimal_values(lake._replace(reward=np.maximum(lake.reward, 0)), 0.95)
  learnt = np.asarray(jax.jit(jax.vmap(q_learning.lesson))(jax.random.split(jax.random.key(0), 20)))
  assert np.all(learnt <= star + 1e-6)
  assert np.max(learnt[:, lake.start]) == pytest.approx(0.95**5, rel=1e-3)


def test_q_learning_nears_the_exact_values():
  config = replace(q_learning.Config(), {"steps": 5_000})
  init, learn, *_ = q_learning.learner
  state = jax.jit(init)(config, jax.random.key(0))
  step = lambda state, _: learn(config, state, {})
  run = jax.jit(lambda state: jax.lax.scan(step, state, None, length=config.steps))
  state, _ = run(state)
  cells = q_learning.world(config).free_cells
  off = np.abs(np.asarray(state.q).max(axis=1) - q_learning.exact(config).max(axis=1))[cells]
  assert off.max() < 0.1  # untrained: 0.98
  # No target exceeds 1, so no value does, however many agents learn it at once.
  assert np.abs(state.q).max() <= 1.001
  history = [{"fit": "train", "step": step, "test/distance": 1 / (1 + step)} for step in (0, 10)]
  report = q_learning.report(config, Fit("train", config, state, history, lambda: state, None))
  assert [picture.name for picture in report.pictures] == ["values", "distance"]


def test_every_agent_can_be_laid_out_without_being_run():
  for module, parameters in (
    # 3x3x1x16 + 16, 1024x64 + 64, 64x3 + 3
    (dqn_catch, 160 + 65_600 + 195),
    # 4x120 + 120, 120x84 + 84, 84x2 + 2
    (dqn_cartpole, 600 + 10_164 + 170),
  ):
    config = module.Config()
    state = jax.eval_shape(module.training(config, 0).learner.init, config, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == parameters
    training = module.training(config, 0)
    assert training.steps * config.agent.num_envs == config.frames
    assert training.evaluate_every % training.log_every == 0


def test_the_atari_network_and_memory_are_natures():
  pytest.importorskip("ale_py")
  state = jax.eval_shape(dqn(dqn_atari.AGENT).init, dqn_atari.Config(), jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 1_687_206  # six actions
  assert state.memory.rows.frame.shape == (1_000_000, 1, 56 * 128)
  assert state.memory.rows.frame.dtype == np.uint8


def test_atari_is_evaluated_as_natures():
  pytest.importorskip("ale_py")
  training = dqn_atari.training(replace(dqn_atari.Config(), {"agent.replay_capacity": 1_000}), 0)
  assert len(training.evaluate["test"]["episode"]) == 30
  assert training.best == "validation/return" and training.evaluate_every % training.log_every == 0
  assert training.steps == 10 * training.evaluate_every == 500_000


@pytest.mark.parametrize(
  "game, bars", [("pong", [18]), ("space_invaders", [1976]), ("freeway", [])]
)
def test_only_a_game_that_is_in_the_table_has_a_bar(monkeypatch, game, bars):
  acted = types.SimpleNamespace(actions=("noop", "fire", "right"))
  monkeypatch.setattr(dqn_atari, "atari", types.SimpleNamespace(environment=lambda game: acted))
  played = Played(np.zeros((9, 4, 4, 3)), np.zeros((8, 3)), np.zeros(8))
  monkeypatch.setattr(rollout, "play", lambda *arguments, **options: played)
  config = replace(dqn_atari.Config(), {"game": game})
  rows = [{"fit": "train", "step": step, "test/return": 20.0} for step in (0, 10)]
  report = dqn_atari.report(config, Fit("train", config, None, rows, lambda: None, None))
  assert [claim.bar.target for claim in report.claims] == bars
  assert [picture.name for picture in report.pictures] == ["returns", "values", "policy"]


@pytest.mark.parametrize(
  "game, parameters",
  [
    # 6x128 + 128, 128x128 + 128, 128x3 + 3
    ("Acrobot-v1", 896 + 16_512 + 387),
    # Sixteen cells, four directions.
    ("FrozenLake-v1", 2_176 + 16_512 + 516),
  ],
)
def test_the_network_fits_what_gymnasium_registers(game, parameters):
  pytest.importorskip("gymnasium")
  pytest.importorskip("pygame")
  config = replace(dqn_gymnasium.Config(), {"game": game})
  training = dqn_gymnasium.training(config, 0)
  state = jax.eval_shape(training.learner.init, config, jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == parameters
  assert training.evaluate_every % training.log_every == 0


def test_the_claim_is_gymnasiums_threshold_where_it_has_one(monkeypatch):
  pytest.importorskip("gymnasium")
  pytest.importorskip("pygame")
  small = {"game": "CartPole-v1", "agent.replay_capacity": 300, "features": 4, "hidden": 4}
  config = replace(dqn_gymnasium.Config(), small)
  state = jax.jit(dqn(dqn_gymnasium.AGENT).init)(config, jax.random.key(0))
  history = [{"fit": "train", "step": step, "test/return": 470.0 + step} for step in (0, 10)]
  fit = Fit("train", config, state, history, lambda: state, None)
  report = dqn_gymnasium.report(config, fit)
  (claim,) = report.claims
  assert (claim.ours, claim.bar.target, claim.verdict) == (480, 475, "pass")
  assert [picture.file_name for picture in report.pictures] == [
    "returns.png",
    "values.png",
    "policy.gif",
  ]
  monkeypatch.setattr(dqn_gymnasium.gymnasium_host, "threshold", lambda name: None)
  monkeypatch.setattr(dqn_gymnasium.gymnasium_host, "can_draw", lambda name: False)
  report = dqn_gymnasium.report(config, fit)
  assert not report.claims and [picture.name for picture in report.pictures] == ["returns"]


class EveryGamePlayed:
  """A lab whose fits are over: the n-th game asked for ended at 10 n, after 5 million frames."""

  def __init__(self):
    self.configs, self.seed = {}, 0

  def fit(self, name, config, training):
    assert config.game == name and training.evaluate_every % training.log_every == 0
    self.configs[name] = config
    last = 10.0 * len(self.configs)
    rows = [{"fit": name, "step": step, "test/return": last} for step in (0, training.steps)]
    return Fit(name, config, None, rows, lambda: None, None)


def test_every_game_is_judged_by_the_papers_number_of_its_own(monkeypatch):
  # Catch in place of the games, so that no package of games is needed.
  games = types.SimpleNamespace(
    environment=lambda game: catch.environment,
    GAMES=minatar.GAMES,
    PAPER=minatar.PAPER,
    PAPER_FRAMES=minatar.PAPER_FRAMES,
  )
  monkeypatch.setattr(dqn_minatar, "minatar", games)
  nothing = Played(np.zeros((2, 4, 4, 3)), np.zeros((1, 3)), np.zeros(1))
  monkeypatch.setattr(rollout, "play", lambda *arguments, **options: nothing)
  lab = EveryGamePlayed()
  all_games = replace(dqn_minatar.Config(), dqn_minatar.ALL_GAMES)
  report = dqn_minatar.run(all_games, lab)
  names = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]
  assert list(lab.configs) == names
  assert [claim.ours for claim in report.claims] == [10, 20, 30, 40, 50]
  assert [claim.bar.target for claim in report.claims] == [17, 10, 50, 20, 44]
  assert [claim.verdict == "pass" for claim in report.claims] == [False, True, False, True, True]
  for claim, name in zip(report.claims, names, strict=True):
    assert f"MinAtar {name}, return after 5,000,000 frames" in claim.what
  assert [picture.name for picture in report.pictures] == ["games", *names]
  panels = report.pictures[0].figure.axes
  assert [axes.get_title(loc="left") or axes.get_title() for axes in panels] == names
  for axes, own in zip(panels, (10, 20, 30, 40, 50), strict=True):
    papers, ours = axes.lines
    assert ours.get_xdata()[-1] == 5 and ours.get_ydata()[-1] == own
  assert papers.get_ydata()[0] == 44

  with pytest.raises(UserError, match="name one game, as in --game=breakout"):  # as a sweep does
    dqn_minatar.training(all_games, 0)


def test_one_game_is_a_single_fit_that_says_how_long_the_paper_trained(monkeypatch):
  monkeypatch.setattr(dqn_minatar, "report", lambda config, fit: fit)
  monkeypatch.setattr(dqn_minatar, "training", lambda config, seed: (config, seed))
  lab = types.SimpleNamespace(seed=3, fit=lambda *of: of)
  config = dqn_minatar.Config()
  assert dqn_minatar.run(config, lab) == ("train", config, (config, 3))
  for frames, words in ((800_000, "10 after 5,000,000, in"), (5_000_000, "10 in")):
    config = replace(config, {"frames": frames})
    claim = dqn_minatar.score(
      Fit("train", config, None, [{"test/return": 11.0}], lambda: None, None)
    )
    assert claim.source == f"{words} training at epsilon 0.1 (Young and Tian, read off)"
    assert (claim.ours, claim.verdict) == (11, "pass")


def frames_of(path):
  """The film's grey pictures, and the milliseconds of each."""
  with Image.open(path) as image:
    assert image.format == "GIF"
    for number in range(image.n_frames):
      image.seek(number)
      yield np.asarray(image.convert("L")), image.info["duration"]


def test_a_film_is_an_animated_gif(tmp_path):
  shades = (0, 102, 255)
  pictures = np.stack([np.full((4, 6, 3), shade / 255) for shade in shades])
  film(pictures, height=8, seconds_per_picture=0.04, caption="").figure.savefig(
    tmp_path / "film.gif", format="gif"
  )
  for (picture, duration), shade in zip(frames_of(tmp_path / "film.gif"), shades, strict=True):
    assert picture.shape == (8, 12) and set(picture.flat) == {shade} and duration == 40


def test_a_long_film_shows_every_third_picture_in_the_same_time(tmp_path):
  pictures = np.zeros((400, 20, 20, 3))
  pictures.reshape(400, 400, 3)[np.arange(400), np.arange(400)] = 1  # a dot that moves
  film(pictures, height=20, seconds_per_picture=0.02, caption="").figure.savefig(
    tmp_path / "film.gif"
  )
  dots = []
  for picture, duration in frames_of(tmp_path / "film.gif"):
    dots.append(int(picture.argmax()))
    assert duration == 60
  assert dots == list(range(0, 400, 3))
