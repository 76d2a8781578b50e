import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from research.errors import UserError
from research.lab.experiment import Experiment
from research.lab.open_run import open_run
from research.report import Report
from research.store.checkpoint import Checkpoints
from research.store.metrics_log import read_rows
from tests.fixtures import tiny_experiment
from tests.fixtures.tiny_experiment import everything_under

COMMAND = ("--workdir=run", "--steps=60", "--learning_rate=0.8", "--noise=1")


def test_the_best_checkpoint_gives_the_numbers_of_its_row(cli):
  assert cli(*COMMAND)[0] == 0
  before = everything_under(Path("run"))
  run = open_run("run")
  rows = [row for row in read_rows(Path("run")) if "test/accuracy" in row and row["step"]]
  best = max(rows, key=lambda row: row["test/accuracy"])
  assert run.snapshot().about["best_score"] >= best["test/accuracy"]
  assert run.evaluate()["test"]["accuracy"] == pytest.approx(best["test/accuracy"])
  assert int(run.best_state().step) == run.snapshot().step != 60
  assert run.snapshot(best=False).step == 60
  assert run.config.steps == 60 and run.claims[0]["id"] == "C06"
  assert [row["step"] for row in run.history] == list(range(0, 61, 5))
  code, out, _ = cli(*COMMAND, "--evaluate")
  assert code == 0 and f"accuracy {best['test/accuracy']:.5g}" in out
  assert everything_under(Path("run")) == before  # to read is not to write


def test_a_fit_of_another_name_is_evaluated_on_data_of_its_seed(monkeypatch, tmp_path, capfd):
  def training(config, seed):
    held_out = {"test": tiny_experiment.data(seed + 1)}
    return tiny_experiment.training(config, evaluate=held_out, best="test/loss")

  def run(config, lab):
    return tiny_experiment.report(config, lab.fit("text", config, training(config, lab.seed)))

  text = Experiment(tiny_experiment.Config, run, training)
  tiny_experiment.install(monkeypatch, tmp_path, tiny_text=text)
  command = ("--workdir=run", "--steps=20", "--seed=3")
  assert tiny_experiment.launched(capfd, *command, experiment="tiny_text")[0] == 0
  run = open_run("run")
  assert run.evaluate()["test"]["loss"] == pytest.approx(-run.snapshot().about["best_score"])


def test_history_and_claims_outlive_the_experiments_code(tmp_path):
  settings = {"iterations": 5, "optimizer.name": "sgd"}
  identity = {"experiment": "gone_since", "seed": 0, "config": settings}
  (tmp_path / "config.json").write_text(json.dumps(identity))
  (tmp_path / "metrics.jsonl").write_text('{"fit": "train", "step": 5, "test/loss": 0.5}\n')
  claim = {"id": "C06", "what": "accuracy", "source": "98 %", "ours": 0.99, "verdict": "pass"}
  (tmp_path / "claims.json").write_text(json.dumps([claim | {"bar": "≥ 0.98 (≥ 98 %)"}]))
  (tmp_path / "report.html").touch()
  (tmp_path / "figures").mkdir()
  run = open_run(tmp_path)
  assert run.identity.config == settings
  assert run.history[0]["test/loss"] == 0.5 and run.claims[0]["ours"] == 0.99
  with pytest.raises(UserError, match="gone_since"):
    run.config  # noqa: B018


def test_a_run_that_is_going_on_can_be_evaluated(cli):
  assert cli(*COMMAND)[0] == 0
  Path("run/claims.json").unlink()
  from research.lab.run_folder import Lock

  lock = Lock(Path("run"))
  assert cli(*COMMAND, "--evaluate")[0] == 0
  lock.release()
  assert open_run("run").claims == []


def test_a_damaged_checkpoint_is_left_out_and_stays_where_it_is(cli):
  assert cli(*COMMAND)[0] == 0
  best = open_run("run").snapshot().step
  (Path("run/checkpoints/train") / str(best) / "about/metadata").write_text("{")
  before = everything_under(Path("run"))
  code, out, err = cli(*COMMAND, "--evaluate")
  assert code == 0 and "accuracy" in out
  assert f"step {best} " in err and "left out" in err
  assert everything_under(Path("run")) == before


def test_a_run_that_cannot_be_read_is_refused_in_one_line(cli):
  with pytest.raises(UserError, match="--workdir=nowhere holds no run"):
    open_run("nowhere")
  assert cli("--workdir=several", "--steps=5", experiment="tiny_race")[0] == 0
  code, _, err = cli("--workdir=several", "--evaluate", experiment="tiny_race")
  assert code == 2 and "several fits" in err
  with pytest.raises(UserError, match="several fits; name one: first, second, third"):
    open_run("several").snapshot()
  state = open_run("several").snapshot("second").arrays
  assert np.isfinite(state["params/W"]).all()
  assert cli("--workdir=run", "--steps=5")[0] == 0
  shutil.rmtree("run/checkpoints")
  code, _, err = cli("--workdir=run", "--steps=5", "--evaluate")
  assert code == 2 and "no checkpoint of fit 'train'" in err


def test_reading_does_not_create_folders(tmp_path):
  checkpoints = Checkpoints(tmp_path / "not/there", warn=print, read_only=True)
  assert checkpoints.latest() is None
  checkpoints.close()
  assert not (tmp_path / "not").exists()


def test_a_population_and_a_run_without_a_fit_are_refused_in_one_line(monkeypatch, tmp_path, capfd):
  def comparison(config, lab):
    fits = lab.compare("race", {"a": config}, tiny_experiment.training, repeats=2)
    return tiny_experiment.report(config, fits["a"][0])

  def nothing(config, lab):
    return Report([], [])

  kinds = {
    "tiny_many": Experiment(tiny_experiment.Config, comparison, tiny_experiment.training),
    "tiny_none": Experiment(tiny_experiment.Config, nothing),
  }
  tiny_experiment.install(monkeypatch, tmp_path, **kinds)
  whys = {"tiny_many": "no single network of tiny_many's config", "tiny_none": "holds no fit"}
  for name, why in whys.items():
    command = (f"--workdir={name}", "--steps=10")
    assert tiny_experiment.launched(capfd, *command, experiment=name)[0] == 0
    code, _, err = tiny_experiment.launched(capfd, *command, "--evaluate", experiment=name)
    assert code == 2 and why in err and err.count("\n") == 1
