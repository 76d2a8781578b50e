"""Experiments in files of one's own, in any folder: what works, and each mistake as one line."""

import importlib.metadata
import pickle
import re
import sys
from pathlib import Path

import pytest

from research import experiment_file
from research.lab import process, registry
from research.lab.open_run import open_run
from research.reporting import results_table
from tests.fixtures.tiny_experiment import refused

MINE = '''"""A net of my own.

    python launch.py --experiment=mine.py
"""
from __future__ import annotations

import research as ln
from tests.fixtures import tiny_experiment as tiny
import my_parts


@ln.pytree_config
class Config:
  """Settings."""

  width: int = ln.static(5, "hidden units", at_least=1)
  steps: int = ln.static(20, "updates", at_least=1)
  noise: float = ln.traced(0.1, "of the gradient")
  fatal_step: float = ln.traced(-1.0, "the step whose loss is not a number")
  learning_rate: float = ln.traced(0.5, "step size", at_least=0)


def training(config, seed):
  # config.width, config.noise, config.fatal_step and config.learning_rate are the learner's
  return tiny.training(config, seed)


def report(config, fit):
  claim = ln.claims("my.own-claim_1", unit="%")
  claims = [claim(my_parts.WORDS, "none", fit.last("test/accuracy"), ln.at_least(0.01))]
  return ln.Report(claims, [ln.learning_curves(fit, title="My net", caption="Loss.")])


experiment = ln.single_fit(Config, training, report)
'''


@pytest.fixture
def folder(tmp_path):
  """A stranger's folder with a space in its name, and a file that imports one beside it."""
  folder = tmp_path / "my things"
  folder.mkdir()
  (folder / "mine.py").write_text(MINE)
  (folder / "my_parts.py").write_text('WORDS = "accuracy"\n')
  yield folder
  for name in [
    n
    for n, m in sys.modules.items()
    if (getattr(m, "__file__", "") or "").startswith(str(tmp_path))
  ]:
    del sys.modules[name]
  sys.path[:] = [path for path in sys.path if not path.startswith(str(tmp_path))]


def test_a_file_is_run_resumed_evaluated_and_opened(cli, folder):
  mine = folder / "mine.py"
  assert "A net of my own." in cli("--help", experiment=mine)[1]
  code, out, err = cli("--workdir=run", experiment=mine)
  assert code == 0 and "my.own-claim_1" in out and "warning" not in err, err
  assert "is finished already;" in cli("--workdir=run", experiment=mine)[1]
  assert cli("--workdir=run", "--evaluate", experiment=mine)[1].startswith("test ")
  run = open_run("run")
  assert run.evaluate()["test"]["accuracy"] == run.history[-1]["test/accuracy"]
  assert run.identity.experiment == "mine" and run.experiment.file == mine
  (folder / "my_parts.py").write_text('WORDS = "another"\n')
  assert "by another version of the code" in cli("--workdir=run", experiment=mine)[1]


def test_a_file_that_moved_is_the_same_experiment_and_one_of_its_name_is_not(cli, folder):
  assert cli("--workdir=run", experiment=folder / "mine.py")[0] == 0
  (other := folder / "other").mkdir()
  for name in ("mine.py", "my_parts.py"):
    (other / name).write_text((folder / name).read_text())
  assert (
    f"is a run of {folder / 'mine.py'}" in cli("--workdir=run", experiment=other / "mine.py")[2]
  )
  (folder / "mine.py").unlink()
  assert "is finished already" in cli("--workdir=run", experiment=other / "mine.py")[1]
  assert open_run("run", file=other / "mine.py").training.steps == 20


def test_verify_writes_beside_the_file(cli, folder):
  assert cli("--verify", "--seeds=2", experiment=folder / "mine.py")[0] == 0
  (row,) = results_table.read(folder / "RESULTS.md")
  assert row["id"] == "my.own-claim_1" and row["experiment"] == "mine"
  assert "--experiment=mine.py --seeds=2" in (folder / "RESULTS.md").read_text()
  assert "A net of my own." in (folder / "docs" / "gallery" / "mine.md").read_text()
  assert not Path("RESULTS.md").exists()


def test_a_sweep_of_a_file_prints_a_command_that_names_it(cli, folder):
  mine = folder / "mine.py"
  sweep = ("--sweep=learning_rate=log(1e-2,1)", "--trials=2", "--workdir=sweep")
  code, out, err = cli(*sweep, experiment=mine)
  assert code == 0, err
  assert f"'--experiment={mine}'" in out


def test_a_worker_elsewhere_loads_the_file_before_what_comes_from_it(folder):
  path = folder / "mine.py"
  module = experiment_file.load(path)
  sent = pickle.dumps((experiment_file.Loaded(str(path)), module.Config(), module.training))
  del sys.modules[module.__name__]
  _, config, training = pickle.loads(sent)
  again = experiment_file.load(path)
  assert again is not module
  assert type(config) is again.Config and training is again.training


def test_an_entry_point_of_a_package_is_listed_and_run(cli, folder, monkeypatch):
  (package := folder / "theirs").mkdir()
  (package / "__init__.py").write_text("raise RuntimeError('imported by the list')")
  (package / "net.py").write_text(MINE.replace("import my_parts", "from theirs import my_parts"))
  (package / "my_parts.py").write_text('WORDS = "accuracy"\n')
  monkeypatch.syspath_prepend(str(folder))
  point = importlib.metadata.EntryPoint("their_net", "theirs.net", registry.GROUP)
  monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
  assert re.search(r"theirs:\n  their_net +A net of my own\.", cli("--list", experiment=None)[1])
  (package / "__init__.py").write_text("")
  code, out, err = cli("--workdir=run", experiment="their_net")
  assert code == 0 and "my.own-claim_1" in out, err
  assert open_run("run").experiment.name == "their_net"
  assert {path.name for path in process.own_sources(package / "net.py")} >= {
    "net.py",
    "my_parts.py",
  }


@pytest.mark.parametrize(
  ("before", "after", "words"),
  [
    ("width: int", "seeds: int", r"mine\.py, line 16: the Config's field 'seeds' has the name of a flag"),
    ("width: int", "trials: int", r"line 16: the Config's field 'trials'"),
    ("width: int", "single_fit: int", r"line 16: the Config's field 'single_fit'"),
    ("experiment = ", "nothing = ", r"mine\.py holds no experiment; end it with"),
    ("experiment = ", "experiment = lambda: ", r"mine\.py: `experiment` is of type function"),
    ("import my_parts", "import my_part", r"mine\.py, line 9: ModuleNotFoundError: .*my_part"),
    ("import my_parts", "import my_parts.(", r"mine\.py, line 9: SyntaxError"),
    ("import my_parts", "raise SystemExit", r"mine\.py, line 9: SystemExit"),
    ('= ln.static(5, "hidden units", at_least=1)', "= 5", r"mine\.py, line 12: TypeError: Config\.width: declare it with static"),
    ("@ln.pytree_config", "# plain", r"Config is no config; put @ln\.pytree_config"),
    ("ln.at_least(0.01)", "ln.at_least(float('nan'))", r"line \d+: the report cannot be made: ValueError"),
    ('"my.own-claim_1"', '"my own claim"', r"line \d+: the report cannot be made: ValueError: a claim's id"),
    ("my_parts.WORDS", "my_parts.WORD", r"line \d+: the report cannot be made: AttributeError"),
    ('fit.last("test/accuracy")', 'fit.history[-1]["test/acc"]', r"no row has the metric 'test/acc'; there are train/loss"),
    ("return ln.Report(", "return (", r"report returns a value of type tuple"),
    ("return tiny.training(config, seed)", "return tiny.training(config)[99]", r"line \d+: IndexError"),
    ("return tiny.training(config, seed)", "return tiny.training(config)._replace(learner=ln.supervised(lambda config: ln.MLP(config.nothing), ln.softmax_cross_entropy, lambda config: (4,), lambda config: None))", r"mine\.py, line 25: AttributeError: .*nothing"),
    ("return tiny.training(config, seed)", "return 1", r"training returns a value of type int"),
  ],
)  # fmt: skip
def test_each_mistake_is_one_line_before_the_training(cli, folder, before, after, words):
  assert before in MINE
  (folder / "mine.py").write_text(MINE.replace(before, after, 1))
  code, _, err = cli("--workdir=run", experiment=folder / "mine.py")
  line = err.splitlines()[-1]
  assert code == 2 and line.startswith("launch.py: ") and re.search(words, line), err
  assert not Path("run").exists()


def test_a_field_that_nothing_reads_and_a_claim_without_a_number_are_named(cli, folder):
  text = MINE.replace("  width", '  widht_of_it: int = ln.static(1, "idle")\n  width', 1)
  (folder / "mine.py").write_text(text.replace('fit.last("test/accuracy")', 'fit.last("test/acc")'))
  code, _, err = cli("--workdir=run", experiment=folder / "mine.py")
  assert code == 0
  assert "mine.py, line 16: nothing reads the field 'widht_of_it'" in err
  assert "the claim my.own-claim_1 has no number; the rows' metrics are train/loss" in err


def test_a_file_without_report_and_claims_draws_its_curves(cli, folder):
  mine = folder / "mine.py"
  mine.write_text(MINE.replace("training, report)", "training)"))
  code, out, err = cli("--workdir=run", experiment=mine)
  assert code == 0 and "learning_curves.png" in out, err


def test_a_file_that_is_not_there_is_one_line(cli, folder, monkeypatch):
  assert "nowhere.py does not exist" in refused(cli, experiment="nowhere.py")
  assert "is a folder" in refused(cli, experiment=f"{folder}/")
  monkeypatch.chdir(folder)
  assert "the file here is --experiment=mine.py" in refused(cli, experiment="mine")


def test_new_writes_an_experiment_that_works_and_overwrites_nothing(cli, folder):
  code, out, err = cli("idea", experiment=None, verb="new")
  assert code == 0 and out.endswith("python launch.py --experiment=idea.py\n"), err
  written = Path("idea.py").read_text()
  code, out, err = cli("--epochs=1", "--workdir=run", experiment="idea.py")
  assert code == 0 and "warning" not in err and "idea  test accuracy" in out, err
  for name, words in (
    ("idea", "is there already"),
    ("idea.py", "is there already"),
    ("no/where", "there is no folder"),
    ("my-net", "cannot name a module"),
    ("class", "cannot name a module"),
  ):
    assert words in refused(cli, name, experiment=None, verb="new")
  assert "give its name" in refused(cli, experiment=None, verb="new")
  assert Path("idea.py").read_text() == written
