"""A sweep's winner has one number: in the sweep, alone, read back, and by the printed command."""

import shlex
from pathlib import Path

import pytest
from pyarrow import parquet

from research.config import fields, show
from research.lab.experiment import Experiment, single_fit
from research.lab.open_run import open_run
from research.store.metrics_log import read_rows
from research.sweep.slots import metrics_of
from tests.fixtures import single_fits, tiny_experiment
from tests.fixtures.tiny_experiment import launched


def assert_one_number(capfd, experiment, objective, sweep, settings, seed):
  """Sweeps, and compares every way to the winner's number, for each of its two repetitions."""
  swept = ["--workdir=swept", f"--seed={seed}", f"--sweep={sweep}", f"--objective={objective}"]
  swept += ["--trials=4", "--sampler=grid", "--seeds=2", *settings]
  code, out, err = launched(capfd, *swept, experiment=experiment)
  assert code == 0, err
  printed = [line for line in out.splitlines() if line.startswith("python launch.py")]
  (command,) = [line for line in printed if "--sweep=" not in line]
  run = open_run("swept")
  winner = {name: show(getattr_of(run.config, name)) for name in names_of(sweep)}
  results = parquet.read_table("swept/results.parquet").to_pylist()
  in_sweep = {
    row["repeat"]: row[objective]
    for row in results
    if {name: show(row[name]) for name in winner} == winner
  }
  words = [word for word in shlex.split(command)[2:] if "--seed=" not in word]
  for repeat in (0, 1):
    workdir = f"pasted{repeat}"
    arguments = [*words, f"--seed={seed + repeat}", f"--workdir={workdir}"]
    code, _, err = launched(capfd, *arguments, experiment=None)
    assert code == 0, err
    pasted = open_run(workdir)
    assert pasted.config == run.config
    rows = [row for row in read_rows(Path(workdir)) if objective in row]
    assert rows[-1][objective] == pytest.approx(in_sweep[repeat], rel=1e-5)
  alone = [row for row in read_rows(Path("swept")) if objective in row and row["fit"] == "train"]
  assert alone[-1][objective] == pytest.approx(in_sweep[0], rel=1e-5)
  (kept,) = [row[objective] for row in alone if row["step"] == run.snapshot().step]
  split, metric = objective.split("/")
  assert run.evaluate()[split][metric] == pytest.approx(kept, rel=1e-5)
  code, out, _ = launched(capfd, "--workdir=swept", "--evaluate", experiment=experiment)
  assert code == 0 and f"{metric} {run.evaluate()[split][metric]:.5g}" in out


def names_of(sweep):
  return [part.partition("=")[0].strip() for part in sweep.split(";")]


def getattr_of(config, name):
  return next(field.value for field in fields(config) if field.name == name)


def conducts_something_else(config, lab):
  raise AssertionError("the pasted command conducts the experiment, and not its single fit")


@pytest.mark.parametrize(
  ("seed", "own_run"), [pytest.param(0, None, marks=pytest.mark.slow), (5, conducts_something_else)]
)
def test_a_net_whose_data_are_its_seeds(monkeypatch, tmp_path, capfd, seed, own_run):
  def training(config, seed):
    held_out = {"test": tiny_experiment.data(seed + 100)}
    return tiny_experiment.training(config, data=tiny_experiment.data(seed), evaluate=held_out)

  seeded = single_fit(tiny_experiment.Config, training, tiny_experiment.report)
  if own_run:
    seeded = Experiment(tiny_experiment.Config, own_run, training)
  tiny_experiment.install(monkeypatch, tmp_path, seeded=seeded)
  sweep = "learning_rate=choice(0.1,0.5);width=choice(3,4)"
  assert_one_number(capfd, "seeded", "test/loss", sweep, ["--steps=20"], seed)


def test_an_agent_whose_exact_values_depend_on_a_traced_field(monkeypatch, tmp_path, capfd):
  monkeypatch.chdir(tmp_path)
  sweep = "discount=choice(0.5,0.9)"
  assert_one_number(capfd, "q_learning", "test/distance", sweep, ["--steps=400"], 0)


# q_learning has no learning rate and is swept above; memorisation is evaluated on nothing.
RANKED = [name for name in single_fits.NAMES if name not in ("q_learning", "memorisation")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("name", RANKED)
def test_every_experiment_that_takes_a_sweep(monkeypatch, tmp_path, capfd, name, seed):
  experiment, config, tiny = single_fits.small(monkeypatch, name)
  monkeypatch.chdir(tmp_path)
  metrics = metrics_of(experiment.training(config, seed), config)
  rates = [field for field in fields(experiment.Config()) if field.name.endswith("learning_rate")]
  rate, value = rates[0].name, rates[0].value
  sweep = f"{rate}=choice({value / 2:g},{value:g})"
  if any(field.name == "batch_size" for field in fields(config)):
    sweep += ";batch_size=choice(4,5)"
  settings = [f"--{key}={value}" for key, value in tiny.items()]
  assert_one_number(capfd, name, metrics[0], sweep, settings, seed)
