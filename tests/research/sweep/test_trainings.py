"""A trial in a sweep learns from the data that its config and its repetition's seed have alone."""

import pytest

from research.errors import InterruptedRun, UserError
from research.lab.lab import Lab
from research.sweep import remote
from research.sweep import space as spaces
from research.sweep.blocks import train
from research.sweep.plan import Settings
from research.sweep.trainings import Trainings
from research.training import Options
from tests.fixtures import tiny_experiment
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config
from tests.fixtures.tiny_sweep import rows

SEED = 5
SETTINGS = Settings(trials=2, sampler="grid", objective="test/accuracy", slots=4)
SPACE = "learning_rate=choice(0.1,0.5); width=choice(3); seeds(2)"
CONFIG = Config(steps=20)


def of_seed(config, seed):
  """Training data of the seed, test data of the seed and of a traced field."""
  shift = float(config.learning_rate)
  test = tiny_experiment.data(seed + 100)
  return tiny_experiment.training(
    config,
    data=tiny_experiment.data(seed),
    evaluate={"test": test | {"image": test["image"] + test["image"].dtype.type(shift)}},
  )


def swept(folder, engine="local", interruption=None, space=SPACE, **changes):
  folder.mkdir(exist_ok=True)
  options = Options(engine=engine, save_seconds=1e9)
  lab = Lab(folder, seed=SEED, options=options, interruption=interruption)
  return lab.sweep("study", spaces.parse(space, CONFIG), of_seed, SETTINGS._replace(**changes))


def test_each_repetition_is_the_fit_of_its_seed_on_that_seeds_data(tmp_path, monkeypatch):
  result = swept(tmp_path / "local")
  for trial in result.trials.values():
    config = result.config(trial)
    for repeat in range(2):
      folder = tmp_path / f"alone {trial.number} {repeat}"
      folder.mkdir()
      lab = Lab(folder, seed=SEED + repeat, options=Options())
      fit = lab.fit("train", config, of_seed(config, SEED + repeat))
      for name in ("test/accuracy", "test/loss"):
        assert trial.reports[-1][name][repeat] == pytest.approx(fit.last(name), rel=1e-6)
  with pytest.raises(InterruptedRun):
    swept(tmp_path / "chopped", interruption=StopAfter(1))
  swept(tmp_path / "chopped")
  assert rows(tmp_path / "chopped") == rows(tmp_path / "local")
  here = lambda options, folder: lambda blocks: [train(block) for block in blocks]
  monkeypatch.setitem(remote.ENGINES, "ray", here)
  swept(tmp_path / "remote", "ray")
  assert rows(tmp_path / "remote") == rows(tmp_path / "local")


def test_trials_share_a_program_unless_their_data_differ():
  space = spaces.parse("learning_rate=log(0.1,0.5); noise=uniform(0,1); seeds(2)", CONFIG)
  made = Trainings(of_seed, space)
  assert made.by_repeat and made.by_field == ("learning_rate",)
  made = Trainings(lambda config, seed: tiny_experiment.training(config), space)
  assert not made.by_repeat and made.by_field == ()
  assert made.of(space.config, 0) is made.of(space.config, 1)


def test_members_that_learn_from_different_data_copy_no_weights(tmp_path):
  space = "learning_rate=log(0.1,0.5)"
  with pytest.raises(UserError, match="the data depend on it"):
    swept(tmp_path, space=space, sampler="random", stopper="pbt")
  assert not list(tmp_path.iterdir())


def test_repetitions_that_draw_by_samplers_of_their_own_are_trained_apart():
  alike = tiny_experiment.training(CONFIG)
  space = spaces.parse("learning_rate=choice(0.1,0.5); seeds(2)", CONFIG)
  assert not Trainings(lambda config, repeat: alike, space).by_repeat
  own = lambda config, repeat: alike._replace(sampler=alike.sampler._replace(batch_size=5 + repeat))
  assert Trainings(own, space).by_repeat
