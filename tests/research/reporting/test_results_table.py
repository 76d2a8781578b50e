import dataclasses
import itertools
import math

import pytest

from research.errors import UserError
from research.report import Claim, above, at_least, at_most
from research.reporting.results_table import FAMILIES, Verified, merge, over_seeds, read
from research.store.claims_file import claims_json

pytestmark = pytest.mark.fast

NASTY = r"a|b \| `c` *d* _e_ <f> [g](h) $i$ # & ~j~ \\"


def verified(**changes):
  plain = Verified(
    id="C06",
    what="test accuracy",
    source="98.96 % (book)",
    values=(0.9893, 0.9897, 0.9889),
    bar=at_least(0.989),
    unit="%",
    seeds=3,
    experiment="simple_convnet",
    command="python launch.py --experiment=simple_convnet",
    date="2025-01-31",
  )
  return dataclasses.replace(plain, **changes)


def test_a_row_begins_with_its_id_and_holds_its_verdict(tmp_path):
  merge(tmp_path / "RESULTS.md", [verified()])
  lines = (tmp_path / "RESULTS.md").read_text(encoding="utf-8").splitlines()
  (row,) = [line for line in lines if line.startswith("| C06 | ")]
  assert row == (
    "| C06 | test accuracy | 98.96 % (book) | 98.93 ± 0.10 % (n = 3) | ≥ 98.9 % | pass "
    "| `simple_convnet` |"
  )


@pytest.mark.parametrize(
  ("values", "verdict"),
  [
    ((0.98, 0.999), "pass"),
    ((0.9, 0.999), "fail"),
    ((0.988, 0.989, 0.990), "pass"),  # their mean as binary floats is just below
    ((0.989, 0.989, 0.989), "pass"),
    ((0.999, math.nan), "fail"),
    ((0.999, math.inf), "fail"),
  ],
)
def test_the_verdict_is_the_bar_on_the_mean(values, verdict):
  assert verified(values=values).verdict == verdict


def test_one_seed_has_no_spread_and_nan_no_unit(tmp_path):
  rows = [verified(values=(0.9893,)), verified(values=(math.nan,), what="diverged")]
  merge(tmp_path / "RESULTS.md", rows)
  assert [row["ours"] for row in read(tmp_path / "RESULTS.md")] == [
    "98.93 % (n = 1)",
    "nan (n = 1)",
  ]


@pytest.mark.parametrize("field", ["what", "source", "experiment", "command"])
def test_any_text_survives_the_round_trip(tmp_path, field):
  path = tmp_path / "RESULTS.md"
  merge(path, [verified(**{field: NASTY})])
  if field != "command":
    assert read(path)[0][field] == NASTY
  once = path.read_bytes()
  merge(path, [])
  assert path.read_bytes() == once
  merge(path, [verified(**{field: NASTY})])
  assert path.read_bytes() == once


def test_only_the_experiments_verified_now_are_replaced(tmp_path):
  path = tmp_path / "RESULTS.md"
  other = verified(experiment="deep_convnet", id="C09", command="python launch.py -e deep")
  merge(path, [verified(), verified(what="parameters"), other])
  merge(path, [verified(values=(0.5,))])
  rows = read(path)
  assert [(row["id"], row["what"], row["verdict"]) for row in rows] == [
    ("C06", "test accuracy", "fail"),
    ("C09", "test accuracy", "pass"),
  ]
  text = path.read_text(encoding="utf-8")
  assert text.count("`python launch.py --experiment=simple_convnet`") == 1
  assert "| `deep_convnet` | `python launch.py -e deep` | 3 | 2025-01-31 |" in text


def test_the_order_is_the_inventorys_whatever_came_first(tmp_path):
  rows = [
    verified(id=f"{family}{n:02}", experiment=f"{family}{n}")
    for family in "CPYA"
    for n in (2, 1, 11)
  ]
  texts = set()
  for number, order in enumerate(itertools.islice(itertools.permutations(rows), 0, 400, 40)):
    path = tmp_path / f"{number}.md"
    for row in order:
      merge(path, [row])
    texts.add(path.read_text(encoding="utf-8"))
  assert len(texts) == 1
  ids = [row["id"] for row in read(path)]
  assert ids == sorted(ids, key=lambda name: (FAMILIES.index(name[0]), name))
  assert ids[0] == "P01"


def test_foreign_rows_stop_the_merge_and_change_nothing(tmp_path):
  path = tmp_path / "RESULTS.md"
  merge(path, [verified()])
  damaged = path.read_text(encoding="utf-8").replace(" | pass", "", 1)
  path.write_text(damaged, encoding="utf-8")
  with pytest.raises(UserError, match=r"RESULTS.md, line \d+"):
    merge(path, [verified()])
  assert path.read_text(encoding="utf-8") == damaged
  assert [entry.name for entry in tmp_path.iterdir()] == ["RESULTS.md"]


def test_seeds_are_joined_claim_by_claim():
  claims = [
    claims_json(
      [
        Claim("C06", "test accuracy", "98.96 %", ours, at_least(0.989), "%"),
        Claim("C06", "epochs", "20", epochs, at_least(1)),
      ]
    )
    for ours, epochs in ((0.99, 1), (math.nan, 3))
  ]
  first, second = over_seeds(claims, experiment="x", command="y", date="z")
  assert (first.bar, first.unit) == (at_least(0.989), "%")
  assert first.values[0] == 0.99
  assert math.isnan(first.values[1])
  assert (second.what, second.values, second.verdict) == ("epochs", (1.0, 3.0), "pass")
  with pytest.raises(ValueError, match="same claims"):
    over_seeds([claims[0], claims[1][:1]], experiment="x", command="y", date="z")


def test_a_bar_that_the_runs_measure_themselves_is_a_mean_too():
  claims = [
    claims_json([Claim("S11", "BLEU", "none", ours, at_least(words), "%")])
    for ours, words in ((0.4, 0.174), (0.1, 0.1784))
  ]
  (row,) = over_seeds(claims, experiment="x", command="y", date="z")
  assert row.bar == at_least(0.1762)
  assert row.verdict == "pass"  # the mean on the mean, as everywhere
  other = claims_json([Claim("S11", "BLEU", "none", 0.4, at_most(0.174), "%")])
  with pytest.raises(ValueError, match="same claims"):
    over_seeds([claims[0], other], experiment="x", command="y", date="z")


def test_what_cannot_be_judged_is_refused():
  with pytest.raises(ValueError, match="no seed"):
    verified(values=())


@pytest.mark.parametrize(
  ("seeds", "n", "verdict"),
  [
    ([[0.1, 0.2, 0.12]], 3, "pass"),
    ([[0.1, -0.2, 0.12]], 3, "undecided"),
    ([[-0.1, -0.2, -0.12]], 3, "fail"),
    ([[0.1]], 1, "undecided"),
    ([[0.5, -0.3], [0.05, 0.15], [0.1, 0.14]], 3, "pass"),  # seeds' means: repeats may overlap
  ],
)
def test_a_difference_is_judged_by_its_interval(seeds, n, verdict):
  claims = [
    claims_json([Claim("Q02", "a less b", "", sum(own) / len(own), above(0), "", own)])
    for own in seeds
  ]
  (row,) = over_seeds(claims, experiment="x", command="y", date="z")
  assert (len(row.values), row.seeds, row.verdict) == (n, len(seeds), verdict)
