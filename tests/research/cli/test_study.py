"""The verb `study`, on the tiny experiment."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from research.cli import runner
from research.errors import UserError
from research.reporting import study_report
from research.reporting.study_report import Study, finding
from tests.fixtures.run_folders import make_run
from tests.fixtures.tiny_experiment import refused
from tests.research.reporting.test_html_report import Page


def _study(cli, *words):
  return cli(*words, verb="study")


def test_a_study_pairs_seeds_and_goes_on_where_it_was(cli, monkeypatch):
  words = ["--steps=10", "--change=learning_rate=0.1;width=7", "--workdir=out"]
  code, out, err = _study(cli, *words, "--seeds=2")
  assert code == 0, err
  held = json.loads(Path("out/study.json").read_text())
  assert held["seeds"] == [0, 1] and held["metric"] == "test/accuracy"
  assert held["changed"] == {"learning_rate": [0.5, 0.1], "width": [5, 7]}
  differences = np.subtract(held["change"], held["baseline"])
  assert held["mean difference"] == pytest.approx(differences.mean())
  for name, folders in zip(("baseline", "change"), held["runs"], strict=True):
    rows = [study_report.measured(Path(folder), "test/accuracy", None)[1] for folder in folders]
    assert held[name] == [each[-1]["test/accuracy"] for each in rows]
    seeds = [json.loads(Path(folder, "config.json").read_text())["seed"] for folder in folders]
    assert seeds == [0, 1]
  page = Page(Path("out/study.html").read_text("utf-8"))
  assert page.tags.count("img") == 3 and "learning_rate 0.5 0.1" in page.text
  linked = re.findall(r'href="([^"#]+/report.html)"', Path("out/study.html").read_text("utf-8"))
  assert len(linked) == 4 and all(Path("out", unquote(place)).is_file() for place in linked)
  assert "test/accuracy" in out and "report:  out/study.html" in out

  runs = [folder for of_one in held["runs"] for folder in of_one]
  commands = [json.loads(Path(at, "environment.json").read_text())["command"] for at in runs]
  assert len(set(commands)) == 4  # each makes that run, and no other
  for folder, command in zip(runs, commands, strict=True):
    code, out, _ = cli(*shlex.split(command)[3:])
    assert code == 0 and f"{folder} is finished already" in out

  made, conduct = [], runner.conduct
  monkeypatch.setattr(runner, "conduct", lambda *given: made.append(given) or conduct(*given))
  monkeypatch.setattr(runner, "is_stale", lambda folder, entry: False)  # the tiny one has no file
  assert _study(cli, *words, "--seeds=2")[0] == 0
  assert not made


@pytest.mark.parametrize(
  ("words", "says"),
  [
    (["--seeds=2"], "study compares with a change"),
    (["--change=width=5"], "study compares with a change"),
    (["--change=width=0"], "width='0' is too small"),
    (["--change=widht=7"], "did you mean width"),
    (["--change=width"], "is no setting"),
    (["--change=width=7", "--seeds=1"], "at least --seeds=2"),
    (["--change=width=7", "--metric=test/acuracy"], "did you mean test/accuracy"),
    (["--change=width=7", "--fresh"], "--fresh has no meaning beside --change"),
  ],
)
def test_bad_input_is_refused_in_a_line(cli, words, says):
  assert says in refused(lambda *given, **options: _study(cli, *given), *words)


def test_a_change_is_no_flag_of_other_verbs(cli):
  assert "unknown flag '--change'" in refused(cli, "--change=width=7")


def _made(before, after, metric="test/accuracy"):
  names = range(len(before))
  return Study("net", "", {}, list(names), ((), ()), metric, np.array([before, after]), ((), ()))


@pytest.mark.fast
@pytest.mark.parametrize(
  ("study", "says"),
  [
    (_made([0.5, 0.6, 0.7], [0.7, 0.81, 0.9]), "raises test/accuracy by 20.33 points"),
    (_made([0.5, 0.6, 0.7], [0.7, 0.81, 0.9]), "the same way for the better at 3 of 3 seeds"),
    (_made([0.7, 0.81, 0.9], [0.5, 0.6, 0.7]), "for the worse at 3 of 3"),
    (_made([0.5, 0.6], [0.7, 0.5], "x"), "The interval holds zero: the difference may be chance"),
    (_made([0.5, 0.6], [0.5, 0.6]), "makes no difference to test/accuracy: the values are equal"),
    (_made([0.5, 0.5], [0.75, 0.75], "x"), "all differences are equal, so that no test"),
    (_made([1e-7, 2e-7], [1.5e-7, 2.4e-7], "x"), "raises x by 0.000000045"),
  ],
)
def test_the_finding_says_what_the_numbers_say(study, says):
  assert says in finding(study)


@pytest.mark.fast
def test_what_is_compared_must_be_one_thing(tmp_path):
  run = make_run(tmp_path / "a", rate=0.5)
  assert study_report.measured(run, None, None)[0] == "test/accuracy"
  with pytest.raises(UserError, match="holds test/accuracy, train/loss"):
    study_report.measured(run, "test/nats", None)
  rows = [{"fit": fit, "step": 0, "test/loss": 1.0} for fit in ("a", "b")]
  (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  with pytest.raises(UserError, match="choose one by --fit=a or b"):
    study_report.measured(run, None, None)
  assert study_report.measured(run, None, "b")[1] == rows[1:]
  (run / "metrics.jsonl").write_text('{"fit": "a", "step": 0, "test/loss": null}\n')
  with pytest.raises(UserError, match="not finite at the end"):
    study_report.measured(run, None, None)
