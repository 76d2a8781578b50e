"""Fits that end before their last step, and checkpoints that stay."""

from pathlib import Path

import pytest

from research.errors import InterruptedRun, UserError
from research.lab.lab import Lab
from research.lab.open_run import open_run
from research.store import checkpoint
from research.store.metrics_log import read_rows
from research.training import Conditions, Options
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config, refused, training

CONFIG = Config(steps=80, learning_rate=1.5)


def fitted(folder, *, patience=0, interruption=None, config=CONFIG, **options):
  folder.mkdir(exist_ok=True)
  options = Options(**({"dispatch": 2} | options))
  lab = Lab(
    folder,
    seed=0,
    options=options,
    interruption=interruption,
    conditions=Conditions(patience=patience),
  )
  return lab.fit("train", config, training(config, evaluate_every=5))


def end_of(rows, patience):
  """The step at which a fit ends, by counting by hand, and the step of the best row until then."""
  best, best_step, waited = -1.0, 0, 0
  for row in rows[1:]:
    waited += 1
    if row["test/accuracy"] > best:
      best, best_step, waited = row["test/accuracy"], row["step"], 0
    if waited == patience:
      break
  return row["step"], best_step


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  return fitted(tmp_path_factory.mktemp("whole"), save_seconds=1e9).history


@pytest.mark.parametrize("patience", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_fit_ends_without_a_new_best_and_the_same_after_interruptions(tmp_path, whole, patience):
  end, best = end_of(whole, patience)
  assert best < end < CONFIG.steps
  fit = fitted(tmp_path / "plain", patience=patience)
  assert fit.history == [row for row in whole if row["step"] <= end]
  stops = 0
  while True:
    try:
      stopped = StopAfter(2 * stops % 7)
      again = fitted(tmp_path / "chopped", patience=patience, interruption=stopped)
      break
    except InterruptedRun:
      stops += 1
  assert stops >= 3 and again.state.step == fit.state.step == end
  read = lambda name: (tmp_path / name / "metrics.jsonl").read_bytes()
  assert read("chopped") == read("plain")
  for name in ("plain", "chopped"):
    assert checkpoint.best_step(tmp_path / name / "checkpoints" / "train") == best


def test_a_fit_that_ended_early_is_finished(tmp_path, monkeypatch, capsys):
  fit = fitted(tmp_path, patience=2)
  line = f"train: ended at step {fit.state.step}: 2 evaluations without a better test/accuracy"
  assert line in capsys.readouterr().err
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  assert fitted(tmp_path, patience=2).history == fit.history


def test_patience_without_a_rank_or_enough_evaluations_is_refused(tmp_path):
  lab = Lab(tmp_path, seed=0, options=Options(), conditions=Conditions(patience=8))
  with pytest.raises(UserError, match=r"nothing ranks those of fit 'train': .*--validation=0.1"):
    lab.fit("train", CONFIG, training(CONFIG, best=None))
  with pytest.raises(UserError, match="would never end fit 'train', which is evaluated 8 times"):
    lab.fit("train", CONFIG, training(CONFIG))
  assert not list(tmp_path.glob("checkpoints/*"))


def test_every_nth_step_stays_and_a_fork_may_go_on_from_one(cli, monkeypatch):
  assert cli("--workdir=kept", "--keep_every=10", "--save_seconds=1e6")[0] == 0
  folder = Path("kept/checkpoints/train")
  assert {10, 20, 30, 40} <= set(checkpoint.steps(folder))
  assert cli("--workdir=plain")[0] == 0
  assert Path("kept/metrics.jsonl").read_bytes() == Path("plain/metrics.jsonl").read_bytes()

  fork = ("--workdir=fork", "--fork=kept", "--at_step=20", "--learning_rate=0.1")
  code, _, err = cli(*fork)
  assert code == 0 and "resuming at step 20" in err
  assert cli(*fork)[0] == 0  # the same command again finds it finished
  old, new = read_rows(Path("kept")), read_rows(Path("fork"))
  assert [row["step"] for row in new] == [row["step"] for row in old]
  assert [a == b for a, b in zip(old, new, strict=True)] == [row["step"] <= 20 for row in old]

  row = next(row for row in old if row["step"] == 20)
  _, out, _ = cli("--workdir=kept", "--at_step=20", verb="evaluate")
  assert f"accuracy {row['test/accuracy']:.5g}" in out and f"loss {row['test/loss']:.5g}" in out
  assert open_run("kept", at_step=30).snapshot().step == 30
  code, _, _ = cli("--workdir=weights", "--init_from=kept", "--at_step=20", "--steps=10")
  assert code == 0 and read_rows(Path("weights"))[0]["test/loss"] == row["test/loss"]


def test_steps_that_are_not_there_and_flags_without_meaning_are_refused(cli):
  assert cli("--workdir=run", "--steps=10")[0] == 0
  for arguments, words in (
    (("--workdir=new", "--fork=run", "--at_step=7", "--steps=20"), "it has 10"),
    (("--workdir=run", "--at_step=7", "--evaluate"), "it has 10"),
    (("--at_step=10",), "--at_step is of --fork, --init_from or evaluate"),
    (("--sweep=learning_rate=log(0.1,1)", "--patience=2"), "--patience has no meaning beside"),
    (("--sweep=learning_rate=log(0.1,1)", "--keep_every=5"), "--keep_every has no meaning beside"),
  ):
    assert words in refused(cli, *arguments)
  code, _, err = cli("--workdir=new", "--keep_every=7")
  assert code == 2 and "give a multiple, such as 5" in err and not Path("new").exists()
  code, _, err = cli("--workdir=new", "--init_from=run", "--at_step=7")
  assert code == 2 and "it has 10" in err and not Path("new").exists()
