import numpy as np
import pytest

from research.errors import UserError
from research.lab import tag_file
from research.lab.prediction import Prediction

pytestmark = pytest.mark.fast

LABEL = np.array([0, 1, 1, 0, 2])
SHARES = np.eye(3)[[1, 1, 0, 2, 2]] * 0.7 + 0.1
ANSWERS = Prediction(SHARES.argmax(axis=1), SHARES, ("owl", "wren, the small one", "jay"))
ERRORS, PLACES = np.array([3, 0, 2]), [f"birds/{n}.png" for n in range(5)]


def filled(path, *tags, text=None):
  """The file with the tags of its rows in their order."""
  text = tag_file.text(ERRORS, LABEL, ANSWERS, PLACES) if text is None else text
  head, *rows = text.splitlines()
  rows = [row + tag for row, tag in zip(rows, tags, strict=True)]
  path.write_text("\n".join([head, *rows]) + "\n")
  return path


def test_a_file_comes_back_with_the_tags_that_were_written_into_it(tmp_path):
  path = filled(tmp_path / "e.csv", "blur", "none", "dark; blur")
  rows = tag_file.read(path)
  assert [(row.example, row.label, row.answer) for row in rows] == [
    (3, "owl", "jay"),
    (0, "owl", "wren, the small one"),
    (2, "wren, the small one", "owl"),
  ]
  tags = tag_file.of_rows(path, rows, LABEL, ANSWERS)
  assert {name: has.tolist() for name, has in tags.items()} == {
    "blur": [True, False, True],
    "dark": [False, False, True],
  }


def test_rows_without_tags_were_not_looked_at(tmp_path):
  assert len(tag_file.read(filled(tmp_path / "e.csv", "blur", "", "none"))) == 2
  with pytest.raises(UserError, match="has no tags yet"):
    tag_file.read(filled(tmp_path / "e.csv", "", " ", ""))


def test_spreadsheets_that_write_semicolons_are_read(tmp_path):
  text = tag_file.text(ERRORS[:1], LABEL, ANSWERS, PLACES).replace(",", ";")
  path = filled(tmp_path / "e.csv", "blur", text="\ufeff" + text)
  assert [(row.example, row.tags) for row in tag_file.read(path)] == [(3, ["blur"])]


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda text: text.replace(",3,", ",1,", 1), "line 2: example 1 is no error owl → jay"),
    (lambda text: text.replace(",3,", ",99,", 1), "line 2: example 99 is no error"),
    (lambda text: text.replace(",jay,", ",owl,", 1), "is of another run, seed or step"),
    (lambda text: text.replace(",0,", ",3,", 1), "line 3: example 3 is there twice"),
    (lambda text: text.replace(",3,", ",three,", 1), "line 2: example 'three' is no whole number"),
    (lambda text: text.replace("answer", "said", 1), "lacks the column 'answer'"),
  ],
)
def test_a_file_of_other_errors_is_refused(tmp_path, change, words):
  path = filled(tmp_path / "e.csv", "blur", "blur", "blur")
  path.write_text(change(path.read_text()))
  with pytest.raises(UserError, match=words):
    tag_file.of_rows(path, tag_file.read(path), LABEL, ANSWERS)


def test_a_filled_in_file_is_never_written_over(tmp_path):
  path = tmp_path / "e.csv"
  assert tag_file.write(path, "number,example,label,answer,tags\n1,2,a,b,\n")
  assert tag_file.write(path, tag_file.text(ERRORS, LABEL, ANSWERS, PLACES))
  filled(path, "blur", "", "")
  before = path.read_text()
  assert not tag_file.write(path, "new") and path.read_text() == before
  path.write_text("somebody's notes")
  assert not tag_file.write(path, "new")


def test_a_column_tags_the_errors_by_its_values():
  columns = {"light": np.array(["day", "night", "night", "night", "day"])}
  tags = tag_file.of_column("light", columns, ERRORS)
  assert {name: has.tolist() for name, has in tags.items()} == {
    "light is day": [False, True, False],
    "light is night": [True, False, True],
  }
  with pytest.raises(UserError, match=r"nor a column of the run's table \(light\)"):
    tag_file.of_column("dark", columns, ERRORS)
