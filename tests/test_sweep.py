"""Sweeps from the command line: any experiment of one fit, with one flag."""

import json
import random
import re
import sqlite3
import time
from typing import NamedTuple

import pytest
from pyarrow import parquet

from research.cli import common_flags
from research.errors import UserError
from research.reporting import sweep_report
from research.sweep import names, remote, search, stopping
from research.sweep.study import read_times
from tests.fixtures import tiny_experiment
from tests.fixtures.processes import TINY_CONVNET, launch, start, steps_saved, wait_for
from tests.fixtures.tiny_experiment import everything_under, launched

RATES = "--sweep=learning_rate=log(1e-3,10)"
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
  tiny_experiment.install(
    monkeypatch, tmp_path, tiny_net=tiny_experiment.ONE, several=tiny_experiment.SEVERAL
  )


def study_rows(folder):
  connection = sqlite3.connect(folder / "study.sqlite")
  rows = connection.execute("SELECT * FROM events ORDER BY number").fetchall()
  connection.close()
  return rows


def test_a_sweep_ends_with_a_table_files_figures_and_a_command_for_the_winner(capfd, tmp_path):
  code, out, _ = launched(
    capfd, RATES + "; noise=uniform(0,0.5)", "--trials=13", "--seeds=2", "--workdir=run"
  )
  assert code == 0
  table = [line for line in out.splitlines() if line.startswith("1 ")]
  assert len(table) == 1 and "±" in table[0] and "13 trials: 13 finished" in out
  command, further = [line for line in out.splitlines() if line.startswith("python launch.py")]
  assert "--sweep=" in further and "--sweep" not in command
  run = tmp_path / "run"
  for name in ("best_trials", "parameters", "parallel", "budget", "importance"):
    assert (run / "figures" / f"{name}.png").stat().st_size > 5000
  results = parquet.read_table(run / "results.parquet").to_pylist()
  assert len(results) == 26 and {"learning_rate", "noise", "test/accuracy"} <= set(results[0])
  curves = parquet.read_table(run / "curves.parquet").to_pylist()
  assert len(curves) == 26 * 4
  assert json.loads((run / "claims.json").read_text()) == []
  check_mirror(run, results)
  code, out, _ = launched(capfd, *command.split()[3:], "--workdir=alone")
  assert code == 0


def test_every_name_that_the_command_line_takes_is_there():
  """The names are listed apart, so that they are read before JAX is imported."""
  assert set(search._SUGGEST) == set(names.SAMPLERS)
  assert all(stopping.make(name, 9, 9) is not None for name in names.STOPPERS)
  engine = common_flags.define()["engine"].parser.enum_values
  assert engine == ["local", *remote.ENGINES]


def check_mirror(run, results):
  """Optuna sees the same trials."""
  optuna = pytest.importorskip("optuna")
  from research.reporting.optuna_mirror import mirror

  study = optuna.load_study(study_name=None, storage=f"sqlite:///{mirror(run / 'study.sqlite')}")
  assert [trial.params["learning_rate"] for trial in study.trials] == [
    row["learning_rate"] for row in results if row["repeat"] == 0
  ]
  assert len(study.trials[0].intermediate_values) == 4
  assert study.direction == optuna.study.StudyDirection.MAXIMIZE
  times = read_times(run / "study.sqlite")
  for number, trial in enumerate(study.trials):
    first, last = times[number]
    assert (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()) == (
      pytest.approx(first),
      pytest.approx(last),
    )


def test_the_winner_of_a_population_is_trained_again_by_its_schedule(capfd, monkeypatch):
  monkeypatch.setattr("research.reporting.sweep_report.pictures", lambda swept: [])
  code, out, _ = launched(
    capfd, "--sweep=learning_rate=log(1e-2,1e4)", "--stopper=pbt", "--trials=8", "--seed=2"
  )
  assert code == 0 and "by its schedule:\nfrom step 0: --learning_rate=" in out
  alone, swept = re.search(r"alone, test/accuracy (\S+); in the sweep (\S+)", out).groups()
  assert alone == swept


def test_a_finished_sweep_can_have_more_trials(capfd, tmp_path, monkeypatch):
  monkeypatch.setattr("research.reporting.sweep_report.pictures", lambda swept: [])
  for trials in (2, 5):
    code, out, err = launched(capfd, RATES, f"--trials={trials}")
    assert code == 0, err
  assert "goes on to 5 trials" in out and "5 trials: 5 finished" in out
  launched(capfd, RATES, "--trials=5", "--workdir=whole")
  (grown,) = (tmp_path / "runs").glob("*/*")
  for name in ("results.parquet", "curves.parquet", "metrics.jsonl", "config.json"):
    assert (grown / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
  code, _, err = launched(capfd, RATES, "--trials=4")
  assert code == 2 and "--trials: there 5, here 4" in err and len(err.splitlines()) == 1


def test_the_same_command_finds_the_sweep_finished(capfd, tmp_path):
  arguments = (RATES, "--trials=3")
  first = launched(capfd, *arguments)
  before = everything_under(tmp_path / "runs")
  second = launched(capfd, *arguments)
  assert first[0] == second[0] == 0 and "is finished already" in second[1]
  assert everything_under(tmp_path / "runs") == before


def test_a_sweep_and_a_run_of_the_same_settings_do_not_share_a_folder(capfd, tmp_path):
  launched(capfd, RATES, "--trials=2", "--workdir=run")
  code, _, err = launched(capfd, "--workdir=run")
  assert code == 2 and "--sweep" in err


def test_a_sweep_whose_trials_all_diverge_says_so_with_the_code_of_divergence(capfd, tmp_path):
  search = ("--sweep=learning_rate=log(1e30,1e35)", "--trials=2", "--workdir=run")
  for _ in range(2):  # found finished, it says the same
    code, out, err = launched(capfd, *search)
    assert code == 3 and "2 diverged" in out and "smaller step sizes" in err


@pytest.mark.parametrize(
  "arguments, complaint",
  [
    (["--sweep=learning_rat=log(1,2)"], "did you mean learning_rate?"),
    (["--sweep=learning_rate=log(2,1)"], "reversed"),
    (["--sweep=learning_rate=log(0,1)"], "above 0"),
    (["--sweep=width=uniform(1,5)"], "whole numbers"),
    (["--sweep="], "names no field"),
    ([RATES, "--trials=0"], "trials"),
    ([RATES, "--sampler=luck"], "luck"),
    ([RATES, "--objective=test/acuracy"], "test/accuracy"),
    ([RATES, "--verify"], "no meaning"),
    ([RATES, "--lanes=many"], "give auto, vmap, map"),
    ([RATES + "; width=choice(3,5)", "--stopper=pbt"], "width does not allow"),
    (["--trials=5"], "add --sweep"),
    ([RATES, "--rounds=21"], "more than there are trials"),
  ],
)
def test_bad_input_is_refused_in_one_line(capfd, tmp_path, arguments, complaint):
  code, _, err = launched(capfd, *arguments)
  assert code == 2 and complaint in err and len(err.splitlines()) == 1
  assert not list(tmp_path.glob("runs/*/*/study.sqlite"))


def test_an_experiment_of_several_fits_is_refused(capfd):
  code, _, err = launched(capfd, RATES, experiment="several")
  assert code == 2 and "has no single fit" in err


SEARCH = (
  "--sweep=optimizer.learning_rate=log(1e-4,1e-1); optimizer.beta1=oneminus(0.5,0.99)",
  "--trials=6",
)
QUICK = pytest.param("random", 2, 12)
THOROUGH = [pytest.param(s, 10, 50, marks=pytest.mark.slow) for s in ("random", "halton", "tpe")]


@pytest.mark.parametrize("sampler, kills, epochs", [QUICK, *THOROUGH])
def test_kill_9_at_random_moments_and_a_damaged_tail_change_no_row(
  tmp_path, sampler, kills, epochs
):
  net = (*TINY_CONVNET[:-1], f"--epochs={epochs}")
  command = (*net, *SEARCH, f"--sampler={sampler}", "--save_seconds=0")
  whole, folder, rng = tmp_path / "whole", tmp_path / "killed", random.Random(1)
  code, _, stderr = launch(*command, f"--workdir={whole}")
  assert code == 0, stderr
  for kill in range(kills):
    process = start(*command, f"--workdir={folder}")
    before = steps_saved(folder)
    if kill % 2 == 0:  # some time after progress was made
      wait_for(lambda before=before: steps_saved(folder) - before, process)
    time.sleep(rng.uniform(0, 0.5 if kill % 2 == 0 else 5))
    process.kill()
    process.communicate()
    log = folder / "study.sqlite-wal"
    if kill % 3 == 0 and log.exists():  # the last transaction is torn
      log.write_bytes(log.read_bytes()[:-100])
  code, _, stderr = launch(*command, f"--workdir={folder}")
  assert code == 0, stderr
  assert study_rows(folder) == study_rows(whole)
  for name in ("results.parquet", "curves.parquet"):
    assert (folder / name).read_bytes() == (whole / name).read_bytes()


class Searched(NamedTuple):
  objective: str | None
  best: str | None
  metrics: tuple[str, ...]


@pytest.mark.parametrize(
  "searched, words",
  [
    (
      Searched("test/loss", None, ("test/loss", "validation/loss")),
      ["test set", "validation/loss"],
    ),
    (Searched(None, None, ("test/loss", "validation/loss")), ["--objective=validation/loss"]),
    (Searched("validation/los", None, ("test/loss", "validation/loss")), ["validation/loss"]),
    (Searched(None, None, ("test/loss",)), ["no validation set", "--objective=test/loss"]),
  ],
)
def test_a_search_never_chooses_by_the_test_set_where_another_is_there(searched, words):
  own = tiny_experiment.training(tiny_experiment.Config())._replace(best=searched.best)
  with pytest.raises(UserError) as refused:
    sweep_report._objective({"objective": searched.objective}, own, searched.metrics)
  assert all(word in str(refused.value) for word in words)


def test_a_direction_turns_the_ranking_round(capfd, tmp_path):
  sweep = [RATES, "--trials=3", "--objective=test/accuracy"]
  _, up, _ = launched(capfd, *sweep, "--workdir=up")
  _, down, _ = launched(capfd, *sweep, "--workdir=down", "--direction=min")
  order = lambda text: re.findall(r"^ *\d+ +(\d+) +\S+ +finished", text, re.M)
  assert len(order(up)) == 3 and order(down) != order(up)
