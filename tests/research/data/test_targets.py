"""Tables of which a column of numbers is predicted."""

import re

import numpy as np
import pytest

from research.data import targets
from research.errors import UserError

pytestmark = pytest.mark.fast


def test_a_column_of_numbers_is_a_target_and_rows_without_one_are_left_out(tmp_path, capsys):
  rows = [f"{i},{'ab'[i % 2]},{10 * i + 5}" for i in range(40)]
  rows[3] = "3,b,"
  (tmp_path / "t.csv").write_text("\n".join(["x,kind,y", *rows]))
  found = targets.load(f"csv:{tmp_path / 't.csv'}")
  assert "left out 1 of 40 rows without a target, first" in capsys.readouterr().err
  assert len(found.train["target"]) == 35 and len(found.test["target"]) == 4
  assert found.validation is None and found.train["image"].shape == (35, 3)
  np.testing.assert_allclose(found.train["target"].mean(), 0, atol=1e-6)
  np.testing.assert_allclose(found.train["target"].std(), 1, atol=1e-6)
  y = np.concatenate([part["target"][:, 0] for part in (found.train, found.test)])
  y = sorted(np.rint(found.mean + found.deviation * y))
  assert y == [10 * i + 5 for i in range(40) if i != 3]
  whole = [row for row in rows if row != "3,b,"]
  (tmp_path / "t.csv").write_text("\n".join(["x,kind,y", *whole]))
  other = targets.load(f"csv:{tmp_path / 't.csv'}@x")
  assert other.deviation == pytest.approx(found.deviation / 10)


def test_parts_of_a_folder_stay_and_share_the_scale_of_the_training_part(tmp_path):
  for part, first in (("train", 0), ("val", 100), ("test", 200)):
    rows = [f"{first + i},{2 * (first + i)}" for i in range(5)]
    (tmp_path / f"{part}.csv").write_text("\n".join(["x,y", *rows]))
  found = targets.load(f"csv:{tmp_path}")
  assert found.validation is not None
  for part, first in ((found.validation, 200), (found.test, 400)):
    y = found.mean + found.deviation * part["target"][:, 0]
    np.testing.assert_allclose(y, first + 2 * np.arange(5), rtol=1e-5)


@pytest.mark.parametrize(
  ("cells", "said"),
  [
    (["1", "two", "3"], "line 3: y is 'two', and no finite number to predict"),
    (["1", "inf", "3"], "line 3: y is 'inf', and no finite number to predict"),
    (["", "", ""], "no row of a part has a target"),
    (["4", "4", "4"], "targets are all alike"),
  ],
)
def test_targets_that_are_none_are_refused(cells, said, tmp_path):
  (tmp_path / "t.csv").write_text("\n".join(["x,y", *(f"1,{cell}" for cell in cells)]))
  with pytest.raises(UserError, match=re.escape(said)):
    targets.load(f"csv:{tmp_path / 't.csv'}")


def test_the_embedded_table_is_whole():
  found = targets.load("diabetes")
  assert found.train["image"].shape == (398, 10) and found.test["target"].shape == (44, 1)
  with pytest.raises(UserError, match="is no table with a number to predict"):
    targets.load("digits")
