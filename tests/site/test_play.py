"""The interactive pages: their controls are moved in a browser."""

import json

import numpy as np
import pytest

from experiments.optimization.paths import ENDS
from lineage_site import play_data, play_pages
from research.models.threshold_units import Unit, fire
from tests.fixtures import browser as browsers

pytestmark = pytest.mark.slow

PAGES = {page.name: page for page in play_pages.PAGES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  if browsers.path() is None:
    pytest.skip(f"no browser is installed under any of the names {', '.join(browsers.NAMES)}")
  folder = tmp_path_factory.mktemp("play")
  for page in PAGES.values():
    (folder / f"{page.name}.html").write_text(play_pages.html(page, page.data()))
  return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory, folder):
  with browsers.browser(tmp_path_factory.mktemp("profile")) as page:
    yield page


@pytest.fixture
def opened(page, folder):
  yield lambda name: page.open((folder / f"{name}.html").as_uri()) or page
  assert page.complaints == []


def move(page, control, value, event="input"):
  page.run(
    f"(() => {{ const control = find({json.dumps(control)}); control.value = {json.dumps(value)};"
    f" control.dispatchEvent(new Event({json.dumps(event)})); }})()"
  )


def press(page, name):
  page.run(
    "[...document.querySelectorAll('button')].find(button => button.textContent === "
    f"{json.dumps(name)}).click()"
  )


@pytest.mark.parametrize("size", [browsers.DESKTOP, browsers.PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_window_and_holds_all_that_it_needs(page, folder, name, size):
  page.open((folder / f"{name}.html").as_uri(), size)
  assert page.complaints == []
  assert page.run("document.documentElement.scrollWidth") <= size[0]
  assert page.run("performance.getEntriesByType('resource').length") == 0
  assert page.run("document.querySelector('h1').textContent") == PAGES[name].title


def test_a_unit_can_be_three_gates_and_two_layers_the_fourth(opened):
  page = opened("gates")
  says = lambda: page.run("find('says').textContent")
  for gate in ("AND", "NAND", "OR"):
    press(page, gate), press(page, "Saito's weights")
    assert says() == f"All rows of {gate} are right"
  press(page, "XOR")
  for w1, w2, b in ((0.5, 0.5, -0.7), (1, -1, 0), (-1, -1, 0.5)):
    for control, value in (("w1", w1), ("w2", w2), ("b", b)):
      move(page, control, value)
    assert "rows wrong" in says()
    points = [(x1, x2) for x1 in (-0.3, 0.2, 0.9) for x2 in (-0.1, 0.6, 1.3)]
    ours = [int(fire(Unit((w1, w2), b), np.float64(x1), np.float64(x2))) for x1, x2 in points]
    assert page.run(f"{json.dumps(points)}.map(point => answer(...point))") == ours
  press(page, "Two layers")
  assert says() == "All rows of XOR are right"
  press(page, "AND")
  move(page, "pass", 12)
  assert says() == "All rows of AND are right"


def test_rates_move_paths_which_end_where_the_book_says(opened):
  page = opened("optimizer_paths")
  for name, key in (("SGD", "sgd"), ("Momentum", "momentum"), ("AdaGrad", "adagrad"), ("Adam", "adam")):  # fmt: skip
    assert page.run(f"path('{name}')[30]") == pytest.approx(ENDS[key], abs=2e-3)
  lines = lambda: page.run("[...document.querySelectorAll('.path')].map(l => l.outerHTML)")
  before = lines()
  move(page, "rate-SGD", 24)
  assert len(before) == len(lines()) == 4
  assert sum(old != new for old, new in zip(before, lines(), strict=True)) == 1
  press(page, "The book's rates")
  assert lines() == before
  page.run("find('show-Nesterov').click()")
  assert len(lines()) == 5
  move(page, "steps", 3)
  assert page.run("path('SGD').length") == 4


def test_histograms_follow_the_scale_and_the_activation(opened):
  page = opened("activation_histograms")
  bars = lambda: page.run("[...document.querySelectorAll('.bar')].map(bar => bar.outerHTML).join()")
  ratio = lambda: float(page.run("find('says').textContent").split(": ")[1])
  first = bars()
  move(page, "scale", 0)
  assert bars() != first
  press(page, "ReLU"), press(page, "√(2/n) (He)")
  assert 0.5 < ratio() < 2
  move(page, "scale", 0)
  assert ratio() < 1e-3
  assert page.run("find('scale-value').textContent") == "0.01"


def test_more_units_bend_the_region_and_the_slider_goes_back_in_time(opened):
  page = opened("decision_regions")
  right = lambda: int(page.run("find('says').textContent").split(" ")[0])
  picture = lambda: page.run("find('region').toDataURL()")
  press(page, "XOR"), press(page, "1")
  assert right() < 85
  press(page, "16")
  assert right() == 100
  late = picture()
  move(page, "look", 0)
  assert picture() != late and right() < 100
  assert page.run("find('look-value').textContent") == "1"


def test_attention_is_shown_for_the_date_and_the_letter_that_are_picked(opened):
  page = opened("attention")
  read = lambda: page.run("find('read').innerHTML")
  says = lambda: page.run("find('says').textContent")
  first, said = read(), says()
  move(page, "letter", 9)
  assert read() != first and says() != said
  assert page.run("find('letter-value').textContent") == "10 of 10"
  move(page, "sentence", "3", "change")
  assert page.run("find('read').textContent.replaceAll('\u00a0', ' ') === DATA.sentences[3].text")
  assert page.run("document.querySelectorAll('#map tr').length") == 11
  page.run("find('written').children[4].click()")
  assert page.run("state.letter") == 4
  sums = page.run(
    "DATA.sentences.flatMap(one => one.weights.map(row => row.reduce((a, b) => a + b)))"
  )
  assert min(sums) > 0.85 and max(sums) < 1.15  # of rounded weights, those of the end mark left out
  assert page.run("DATA.right") > 0.5


def test_the_pages_convolution_is_the_projects(opened):
  page = opened("convolution")
  for setting, wanted in play_data.convolution()["answers"].items():
    name, stride, padding = setting.rsplit(" ", 2)
    move(page, "filter", name, "change")
    move(page, "stride", stride, "change"), move(page, "padding", padding, "change")
    assert np.allclose(page.run("convolve()"), wanted, atol=5e-3), setting
  move(page, "stride", "3", "change"), move(page, "padding", "0", "change")
  assert "is not whole" in page.run("find('says').textContent")
  move(page, "stride", "1", "change"), move(page, "filter", "identity", "change")
  before = page.run("convolve().flat()[0]")
  page.run(
    "(() => { const box = document.querySelector('#kernel input'); box.value = '7';"
    " box.dispatchEvent(new Event('input')); })()"
  )
  assert page.run("state.kernel[0][0]") == 7
  assert page.run("convolve()[2][2]") != before
  move(page, "place", 5)
  assert page.run("find('place-value').textContent") == "6 of 36"
  assert page.run("document.querySelectorAll('#input .seen').length") == 9
