import base64
import dataclasses
import json
import math
import random
import re
import subprocess
import sys

import numpy as np
import pytest

from research.report import (
  Claim,
  Picture,
  Report,
  above,
  at_least,
  at_most,
  below,
  equals,
  half_interval,
  within,
  within_ratio,
)
from research.reporting.claims_table import claims_table, shown_bar, shown_value
from research.store.claims_file import bar_and_unit, claims_from_json, claims_json

pytestmark = pytest.mark.fast

BARS = [
  at_least(0.989),
  at_most(-2.5e-9),
  equals(433_890),
  within(0.3, 0.1),
  within_ratio(-0.067, 0.3),
  within(1e20, 3e5),
]


@pytest.mark.parametrize(
  ("bar", "inside", "outside"),
  [
    (at_least(0.989), [0.989, 1.0], [0.98899999, -5]),
    (at_most(3), [3, -1e9], [3.0000001]),
    (equals(0.1999999999990898), [0.1999999999990898], [0.19999999999908]),
    (within(0.3, 0.1), [0.2, 0.4], [0.19999, 0.40001]),
    (within_ratio(-10, 0.1), [-9, -11], [-8.99, -11.01, 10]),
  ],
)
def test_bars_hold_up_to_and_with_their_ends(bar, inside, outside):
  assert all(bar.holds(value) for value in inside)
  assert not any(bar.holds(value) for value in outside)


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_holds(bar, value):
  assert not bar.holds(value)


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("unit", ["", "%", "s", "games won"])
def test_a_stored_bar_reads_back_exactly(bar, unit):
  stored = json.loads(json.dumps(claims_json([claim(bar=bar, unit=unit)])))
  assert bar_and_unit(stored[0]) == (bar, unit)
  old = bar.text(unit) if unit != "%" else f"{bar.text()} ({bar.text('%')})"
  assert bar_and_unit({"bar": old}) == (bar, unit)


def test_texts_of_bars():
  assert str(at_least(0.989)) == "≥ 0.989"
  assert at_least(0.989).text("%") == "≥ 98.9 %"
  assert at_most(4).text("s") == "≤ 4 s"
  assert str(equals(433890)) == "= 433890"
  assert str(within(2.2, 1e-5)) == "2.2 ± 0.00001"
  assert within(0.76, 0.01).text("%") == "76 ± 1 %"
  assert str(within_ratio(0.067, 0.3)) == "within 30 % of 0.067"


@pytest.mark.parametrize("text", ["", "0.989", "> 0.989", "≥ x", "≥ "])
def test_other_texts_are_no_bars(text):
  with pytest.raises(ValueError, match="not the text of a bar"):
    bar_and_unit({"bar": text})


def test_a_bar_of_nothing_is_refused():
  with pytest.raises(ValueError, match="finite"):
    at_least(math.nan)
  with pytest.raises(ValueError, match="negative"):
    within(1, -0.1)


@pytest.mark.parametrize("unit", ["", "%"])
def test_the_shown_number_never_contradicts_the_verdict(unit):
  source = random.Random(0)
  for _ in range(300):
    target = source.choice([0.9, 0.989, 1.2345678, 20.0])
    value = target + source.choice([-1, 1]) * 10 ** source.uniform(-12, -1)
    for bar in (at_least(target), at_most(target), within(target, 1e-4)):
      number = float(shown_value(value, bar, unit).removesuffix(" %"))
      seen = bar.holds(round(number / 100, 15) if unit else number)
      assert seen == bar.holds(value), (value, bar)


def test_shown_values():
  assert shown_value(0.9893, at_least(0.989), "%") == "98.93 %"
  assert shown_value(0.98896, at_least(0.989), "%") == "98.896 %"
  assert shown_value(433890, equals(433890)) == "433890"
  assert shown_value(0.31682708, within(0.3168, 1e-3)) == "0.316827"
  assert shown_value(math.nan, at_least(1), "%") == "nan"


def claim(**changes):
  plain = Claim("C06", "test accuracy", "98.96 % (book)", 0.9893, at_least(0.989), "%")
  return dataclasses.replace(plain, **changes)


def test_claims_json_has_the_fields_and_strict_json():
  stored = json.loads(json.dumps(claims_json([claim(), claim(ours=math.nan)]), allow_nan=False))
  assert stored[0] == {
    "id": "C06",
    "what": "test accuracy",
    "source": "98.96 % (book)",
    "ours": 0.9893,
    "repeats": [],
    "bar": {"relation": "at least", "target": 0.989, "slack": 0.0},
    "unit": "%",
    "verdict": "pass",
  }
  assert (stored[1]["ours"], stored[1]["verdict"]) == (None, "fail")


def test_claims_come_back_from_json():
  claims = [claim(), claim(what="parameters", ours=433890, bar=equals(433890), unit="")]
  assert claims_from_json(json.loads(json.dumps(claims_json(claims)))) == claims
  (diverged,) = claims_from_json(claims_json([claim(ours=math.inf)]))
  assert math.isnan(diverged.ours)
  assert diverged.verdict == "fail"


def test_a_claim_takes_scalars_of_numpy():
  import numpy as np

  assert json.dumps(claims_json([claim(ours=np.float32(0.5))]))


@pytest.mark.parametrize(
  "changes", [{"id": "two words"}, {"id": ""}, {"what": "two\nlines"}, {"source": "a\nb"}]
)
def test_malformed_claims_are_refused(changes):
  with pytest.raises(ValueError):
    claim(**changes)


def test_the_table_fits_and_keeps_every_word():
  long = "test accuracy of the convolutional net after twenty epochs of Adam at learning rate 0.001"
  source = "98.96 % (book, second edition); 98.90 % (weights of 2016)"
  table = claims_table([claim(what=long, source=source), claim(ours=0.5)])
  lines = table.splitlines()
  assert max(map(len, lines)) <= 100
  assert all(word in table for word in (long + " " + source).split())
  assert [line.split()[-1] for line in lines if line.startswith("C06")] == ["pass", "fail"]
  verdicts = {
    line.index(word) for line in lines for word in ("verdict", "pass", "fail") if word in line
  }
  assert len(verdicts) == 1
  assert claims_table([]).startswith("id")


def test_verdicts_have_colours_on_a_terminal():
  claims = [claim(), claim(ours=0.5)]
  table = claims_table(claims, colours=True)
  assert "\033[32mpass\033[0m" in table and "\033[31mfail\033[0m" in table
  assert re.sub(r"\033\[\d+m", "", table) == claims_table(claims)


def test_pictures_must_be_files_of_their_own():
  with pytest.raises(ValueError, match="a-z"):
    Picture("../curves", None, "caption")
  with pytest.raises(ValueError, match="curves"):
    Report([], [Picture("curves", None, "a"), Picture("curves", None, "b")])


def test_a_notebook_shows_a_picture_with_its_caption():
  from research.figures.policies import film
  from research.figures.style import new_figure

  moving = film(np.zeros((2, 4, 4, 3)), seconds_per_picture=0.1, caption="0 < 1")
  for picture, begin in (
    (Picture("curves", new_figure("t")[0], "0 < 1"), b"\x89PNG"),
    (moving, b"GIF"),
  ):
    shown = picture._repr_html_()
    data = re.search(r'src="data:image/(?:png|gif);base64,([^"]+)"', shown)[1]
    assert base64.b64decode(data).startswith(begin) and "<p>0 &lt; 1</p>" in shown


def test_reports_import_neither_matplotlib_nor_jax():
  program = (
    "import sys, research.report, research.reporting.html_report, research.reporting.results_table;"
    "print([name for name in ('matplotlib', 'jax', 'numpy') if name in sys.modules])"
  )
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "[]"


def test_a_difference_is_decided_by_the_whole_interval():
  values = [0.1, 0.2, 0.3]  # t(2) = 4.3027, sd 0.1
  assert abs(half_interval(values) - 4.302653 * 0.1 / 3**0.5) < 1e-6
  assert above(-0.1).verdict(values) == "pass" == below(0.5).verdict(values)
  assert above(0).verdict(values) == "undecided" == below(0).verdict(values)
  assert above(0.5).verdict(values) == "fail" == below(-0.1).verdict(values)
  assert above(0).verdict([0.1]) == "undecided" == above(0).verdict([0.0, 0.0])
  assert above(0).verdict([0.1, math.nan]) == "fail"
  assert claim(ours=0.2, bar=above(-0.1), repeats=values).verdict == "pass"


def test_a_bar_for_readers_has_the_digits_that_matter():
  bar = within_ratio(0.00018257418583505537, 0.01)
  assert "0.00018257418583505537" in bar.text()
  assert bar.text(digits=6) == "within 1 % of 0.000182574"
  assert at_least(0.989).text("%", 6) == "≥ 98.9 %"
  assert at_most(0.000003162277660168379).text(digits=6) == "≤ 0.00000316228"
  assert at_least(433_890).text(digits=6) == "≥ 433890"


def test_differences_of_shares_are_in_points():
  gain = Claim("C06", "gain", "1.2 points", 0.0207, above(0.01), "points")
  assert shown_value(gain.ours, gain.bar, gain.unit) == "2.07 points"
  assert shown_bar(gain.bar, gain.unit) == "> 1 points (95 % interval)"
