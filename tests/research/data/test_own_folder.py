"""The folder of the user's own files reaches whoever loads data, here and on other machines."""

import contextvars
import os
import pickle
from pathlib import Path

import pytest

from research.data import sources
from research.lab.experiment import single_fit
from research.sweep import remote
from research.sweep.blocks import train
from tests.fixtures import tiny_experiment
from tests.fixtures.tiny_experiment import launched

asked = []  # the folder at every call


def training(config, seed):
  asked.append(sources.own_folder())
  return tiny_experiment.training(config, seed)


@pytest.fixture
def cli(monkeypatch, tmp_path, capfd):
  net = single_fit(tiny_experiment.Config, training, tiny_experiment.report)
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=net)
  asked.clear()
  Path("own").mkdir()
  return lambda *arguments: launched(capfd, *arguments)


def test_the_flag_reaches_the_training_and_leaves_no_trace(cli, monkeypatch):
  monkeypatch.setenv("LINEAGE_DATA_DIR", "of the environment")
  assert cli("--data_dir=own", "--steps=5", "--workdir=run")[0] == 0
  assert cli("--steps=6", "--workdir=other")[0] == 0
  assert {str(asked[0]), str(asked[-1])} == {str(Path("own").absolute()), "of the environment"}
  assert os.environ["LINEAGE_DATA_DIR"] == "of the environment"


def test_a_worker_elsewhere_gets_it_with_its_block(cli, monkeypatch):
  elsewhere = []  # what workers asked for

  def engine(blocks):
    for block in pickle.loads(pickle.dumps(blocks)):
      asked.clear()
      contextvars.Context().run(train, block)  # as another process: nothing is set there
      elsewhere.extend(asked)

  monkeypatch.setitem(remote.ENGINES, "ray", lambda options, folder: engine)
  sweep = ["--sweep=learning_rate=choice(0.1,0.5)", "--sampler=grid", "--trials=2", "--steps=10"]
  code, _, err = cli(*sweep, "--engine=ray", "--data_dir=own", "--workdir=run")
  assert code == 0, err
  assert set(elsewhere) == {Path("own").absolute()}
