"""`--validation=0.1`: one held-out share for fits, sweeps, evaluation, workers and resumed runs."""

import re
from pathlib import Path

import pytest

from research.data import sampling
from research.errors import InterruptedRun, UserError
from research.lab.lab import Lab
from research.lab.open_run import open_run
from research.lab.validation import with_validation
from research.store.metrics_log import read_rows
from research.sweep import remote
from research.sweep import space as spaces
from research.sweep.blocks import train
from research.training import Conditions, Options
from tests.fixtures import single_fits, tiny_experiment
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config, refused
from tests.fixtures.tiny_sweep import SETTINGS, rows
from tests.test_one_number import assert_one_number

OWN_ACTIONS = ("dqn_", "q_learning", "rainbow")
OF_ITS_OWN = ("digits_convnet", "equal_budgets", "random_search", "translation")
WHOLE = ("boltzmann_machine", "style_transfer")


@pytest.mark.parametrize("name", single_fits.NAMES)
def test_every_single_fit_that_learns_from_data_can_hold_out_a_share(monkeypatch, name):
  experiment, config, _ = single_fits.small(monkeypatch, name)
  before = experiment.training(config, 5)
  reasons = {OWN_ACTIONS: "own actions", OF_ITS_OWN: "of its own", WHOLE: "from all its examples"}
  for names, words in reasons.items():
    if name.startswith(names):
      with pytest.raises(UserError, match=words):
        with_validation(before, 0.1, 5)
      return
  batch_size = before.sampler.batch_size
  unit = batch_size if before.sampler == sampling.in_order(batch_size) else 1
  share = 0.1 if unit == 1 else 0.4  # of the few batches there are
  after = with_validation(before, share, 5)
  held_out = after.evaluate["validation"]
  for field, array in before.data.items():
    assert len(after.data[field]) + len(held_out[field]) == len(array)
    assert abs(len(held_out[field]) - share * len(array)) <= unit / 2 < len(held_out[field])
  examples = lambda data: list(zip(*(map(bytes, array) for array in data.values()), strict=True))
  parts = examples(after.data) + examples(held_out)
  assert sorted(parts) == sorted(examples(before.data))
  assert after.steps == before.steps and after.evaluate_every == before.evaluate_every
  if "test" in before.evaluate:
    assert after.evaluate["test"] is before.evaluate["test"]


@pytest.mark.slow
def test_a_share_has_one_number_in_the_sweep_alone_and_read_back(monkeypatch, tmp_path, capfd):
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=tiny_experiment.ONE)
  settings = ["--steps=20", "--validation=0.2"]
  sweep = "learning_rate=choice(0.1,0.5);width=choice(3,4)"
  assert_one_number(capfd, "tiny_net", "validation/loss", sweep, settings, 5)
  (row, *_) = read_rows(Path("pasted1"))
  assert {"validation/accuracy", "test/accuracy"} <= row.keys()
  assert len(open_run("pasted1").training.data["label"]) == 24


def test_resumed_and_trained_elsewhere_it_is_the_same_share(monkeypatch, tmp_path):
  def lab(name, engine="local", interruption=None):
    (tmp_path / name).mkdir(exist_ok=True)
    options = Options(engine=engine, save_seconds=1e9)
    return Lab(
      tmp_path / name,
      seed=3,
      options=options,
      interruption=interruption,
      conditions=Conditions(validation=0.2),
    )

  def swept(name, *arguments):
    space = spaces.parse("learning_rate=choice(0.1,0.5)", Config(steps=20))
    settings = SETTINGS._replace(trials=2, sampler="grid", objective="validation/accuracy")
    lab(name, *arguments).sweep("study", space, tiny_experiment.training, settings)
    return rows(tmp_path / name)

  here = lambda options, folder: lambda blocks: [train(block) for block in blocks]
  monkeypatch.setitem(remote.ENGINES, "ray", here)
  assert swept("elsewhere", "ray") == swept("here")

  config = Config(steps=20)
  fitted = lambda *arguments: lab(*arguments).fit("train", config, tiny_experiment.training(config))
  with pytest.raises(InterruptedRun):
    fitted("chopped", "local", StopAfter(2))
  assert fitted("chopped").history == fitted("straight").history
  compared = lab("compared").compare("all", {"one": config}, tiny_experiment.training)
  assert "validation/loss" in compared["one"][0].history[0]


def test_the_share_is_part_of_the_run(cli):
  assert cli("--steps=10", "--validation=0.2", "--workdir=run")[0] == 0
  assert "finished already" in cli("--steps=10", "--validation=0.2", "--workdir=run")[1]
  for other in ("--validation=0.3", "--validation=0"):
    assert "--validation: there 0.2, here" in refused(cli, "--steps=10", other, "--workdir=run")
  assert "of other settings (--validation: there 0.2" in refused(
    cli, "--evaluate", "--validation=0.3", "--workdir=run"
  )
  assert "validation accuracy" in cli("--evaluate", "--workdir=run")[1]
  fork = ("--steps=20", "--fork=run", "--workdir=forked")
  assert "has learnt from examples" in refused(cli, *fork, "--validation=0.3")
  assert "has learnt from examples" in refused(cli, *fork, "--validation=0.2", "--seed=1")
  assert cli(*fork, "--validation=0.2")[0] == 0


@pytest.mark.parametrize(
  ("arguments", "experiment", "words"),
  [
    (["--validation=0.1"], "tiny_race", "--validation=0.1 is of experiments with a single fit"),
    (["--validation=0.1"], "digits_convnet", "--validation=0.1: .* a validation set of its own"),
    (["--validation=1"], "tiny_net", "--validation=1 of 30 training examples leaves one"),
    (["--validation=10"], "tiny_net", "--validation=10.* from 0 to 1"),
    (["--validation=0.1", "--gradcheck"], "tiny_net", "--validation has no meaning beside --grad"),
    (["--validation=0.1", "--verify"], "tiny_net", "--validation has no meaning beside --verify"),
  ],
)
def test_where_it_means_nothing_it_is_refused(cli, arguments, experiment, words):
  code, _, err = cli(*arguments, experiment=experiment)
  assert code == 2 and err.count("\n") == 1 and re.search(words, err), err
  assert not Path("runs").exists()


def test_a_sweep_that_would_rank_by_the_test_set_is_told_of_it(monkeypatch, tmp_path, capfd):
  unranked = tiny_experiment.ONE._replace(
    training=lambda config, seed: tiny_experiment.training(config, seed, best=None)
  )
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=unranked)
  cli = lambda *arguments: tiny_experiment.launched(capfd, *arguments)
  sweep = ["--sweep=learning_rate=choice(0.1,0.5)", "--sampler=grid", "--trials=2", "--steps=10"]
  code, _, err = cli(*sweep, "--workdir=run")
  assert code == 2 and "--validation=0.1" in err and not Path("run").exists()
  code, out, err = cli(*sweep, "--workdir=run", "--validation=0.1")
  assert code == 0 and "validation/accuracy" in out, err
  code, _, err = cli(*sweep, "--validation=0.1", "--workdir=other", "--objective=test/accuracy")
  assert code == 2 and "chooses by the test set; take one of validation/" in err
