import itertools
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from research.cli.verify import verify
from research.errors import InterruptedRun, UserError
from research.lab import registry
from research.lab.experiment import Experiment
from research.report import Claim, Picture, Report, at_least
from research.reporting import results_table
from research.training import Options
from tests.fixtures import tiny_experiment
from tests.fixtures.tiny_experiment import Config


@pytest.fixture
def measure(monkeypatch, tmp_path):
  runs = {  # which a test may replace
    "one": lambda config, lab: Report([Claim("C06", "seed", "1", lab.seed, at_least(2))]),
    "two": lambda config, lab: Report([Claim("B01", "seed", "1", lab.seed, at_least(9))]),
  }

  def experiment(name):
    def run(config, lab):
      return runs[name](config, lab)

    return Experiment(Config, run)

  experiments = {name: experiment(name) for name in runs}
  tiny_experiment.install(monkeypatch, tmp_path, **experiments)

  def measure(name="tiny", **changes):
    arguments = {
      "seed": 1,
      "seeds": 3,
      "options": Options(),
      "results": tmp_path / "RESULTS.md",
      "say": lambda line: None,
    }
    return verify(registry.select(name), **{**arguments, **changes})

  measure.runs = runs
  return measure


def test_the_mean_over_the_seeds_is_judged(measure):
  rows = measure()
  assert {(row.id, row.values, row.verdict) for row in rows} == {
    ("C06", (1.0, 2.0, 3.0), "pass"),
    ("B01", (1.0, 2.0, 3.0), "fail"),
  }
  written = results_table.read("RESULTS.md")
  assert [(row["id"], row["verdict"]) for row in written] == [("B01", "fail"), ("C06", "pass")]
  assert "--verify --experiment=one --seeds=3" in Path("RESULTS.md").read_text()


def test_other_settings_that_the_experiment_names_are_measured_too(measure, monkeypatch, tmp_path):
  def run(config, lab):
    name = f"width_{config.width}"
    claim = Claim("C06", name, "1", config.width + lab.seed, at_least(2))
    return Report([claim], [Picture(name, Figure(figsize=(1, 1)), "")])

  both = Experiment(Config, run, verified=({}, {"width": 7}))
  tiny_experiment.install(monkeypatch, tmp_path, one=both)
  rows = measure("one", seeds=2)
  assert [(row.what, row.values) for row in rows] == [("width_5", (6, 7)), ("width_7", (8, 9))]
  assert [row["what"] for row in results_table.read("RESULTS.md")] == ["width_5", "width_7"]
  assert Path("RESULTS.md").read_text().count("--verify --experiment=one --seeds=2") == 1
  (page,) = Path("docs/gallery").glob("*.md")
  assert page.read_text().count("one/width_5.png") == page.read_text().count("one/width_7.png") == 1


def test_it_goes_on_where_it_was_interrupted_and_keeps_what_was_measured(measure):
  made, run = [], measure.runs["two"]

  def interrupted(config, lab):
    made.append(lab.seed)
    if made == [1, 2]:
      raise InterruptedRun(15, "interrupted")
    return run(config, lab)

  measure.runs["two"] = interrupted
  with pytest.raises(InterruptedRun):
    measure()
  assert [row["id"] for row in results_table.read("RESULTS.md")] == ["C06"]
  assert len(measure()) == 2
  assert made == [1, 2, 2, 3]  # the first is not made again


def test_fresh_measures_again(measure):
  numbers = itertools.count(10)
  measure("one")
  measure.runs["one"] = lambda config, lab: Report(
    [Claim("C06", "seed", "1", next(numbers), at_least(2))]
  )
  assert measure("one")[0].values == (1.0, 2.0, 3.0)
  assert measure("one", fresh=True)[0].values == (10.0, 11.0, 12.0)


def test_a_results_file_that_cannot_be_renewed_stops_it_before_anything_is_run(measure, tmp_path):
  (tmp_path / "RESULTS.md").write_text("<<<<<<< HEAD\n")
  with pytest.raises(UserError, match=r"RESULTS\.md"):
    measure()
  assert [path.name for path in tmp_path.iterdir()] == ["RESULTS.md"]


def test_old_runs_that_make_other_claims_are_one_line(measure):
  measure("one", seeds=1)
  measure.runs["one"] = lambda config, lab: Report([Claim("C06", "new", "1", 3.0, at_least(2))])
  with pytest.raises(UserError, match=r"another version.*--verify --fresh"):
    measure("one", seeds=2)
