import json

import pytest

import launch
from research.lab.run_index import record
from research.reporting import comparison
from tests.fixtures.run_folders import make_run
from tests.research.reporting.test_html_report import EVIL, Page

pytestmark = pytest.mark.fast


@pytest.fixture
def compared(tmp_path, capsys):
  """The page that compares some folders."""

  def call(*folders):
    page = tmp_path / "page.html"
    assert launch.main(["launch.py", "compare", *map(str, folders), f"--page={page}"]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    return Page(page.read_text(encoding="utf-8"))

  return call


def test_a_page_shows_what_differs_between_runs(tmp_path, compared):
  first = make_run(tmp_path / "a", rate=0.5)
  second = make_run(tmp_path / "b", rate=0.75, seed=1, finished=False)
  page = compared(first, second)
  assert page.text.count("2 other settings are equal in all.") == 1
  assert "setting A B seed 0 1 rate 0.5 0.75" in page.text
  assert "test/accuracy 50.00 % 75.00 %" in page.text
  assert "C06 test accuracy 9 % (book) ≥ 5 % 50.00 % pass –" in page.text
  assert page.tags.count("img") == 2 and "script" not in page.tags


def test_curves_hold_the_numbers_of_every_run(tmp_path):
  folders = [make_run(tmp_path / name, rate=rate) for name, rate in (("a", 0.5), ("b", 0.75))]
  accuracy, loss = comparison.curves("AB", [record(folder) for folder in folders])
  first, second = accuracy.figure.axes[0].lines
  assert first.get_label() == "A (rate=0.5)" and second.get_label() == "B (rate=0.75)"
  assert first.get_ydata()[-1] == 0.5 and second.get_ydata()[-1] == 0.75
  assert loss.caption == "train/loss over steps."


def test_members_of_a_population_are_curves_of_their_own(tmp_path):
  folders = [make_run(tmp_path / name) for name in "ab"]
  rows = [
    {
      "fit": "race",
      "step": step,
      "member": member,
      "repeat": repeat,
      "test/accuracy": step + repeat,
    }
    for step in (0, 1)
    for member in ("adam", "sgd")
    for repeat in (0, 1)
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (folders[0] / "metrics.jsonl").write_text(text)
  accuracy = comparison.curves("AB", [record(folder) for folder in folders])[0]
  lines = {line.get_label(): line.get_ydata().tolist() for line in accuracy.figure.axes[0].lines}
  assert list(lines) == ["A: race/adam", "A: race/sgd", "B"]
  assert lines["A: race/adam"] == [0.5, 1.5]


def test_damage_and_foreign_text_do_no_harm(tmp_path, compared):
  first = make_run(tmp_path / "a", experiment=EVIL)
  second = make_run(tmp_path / "b", rows=0)
  (first / "claims.json").write_text('[3, {"bar": "?"}]')
  page = compared(first, second)
  assert "script" not in page.tags and "<script>" in page.text


@pytest.mark.parametrize(
  ("words", "says"),
  [
    (["a"], "compare takes 2 to 26 runs, not 1"),
    (["a", "nowhere"], "nowhere holds no run"),
    (["a", "b", "--page=a"], "--page=a is a folder"),
    (["a", "b", "--seed=3"], "unknown flag '--seed'"),
  ],
)
def test_bad_input_is_refused_in_a_line(tmp_path, monkeypatch, capsys, words, says):
  for name in "ab":
    make_run(tmp_path / name)
  monkeypatch.chdir(tmp_path)
  assert launch.main(["launch.py", "compare", *words]) == 2
  err = capsys.readouterr().err
  assert says in err and err.count("\n") == 1
