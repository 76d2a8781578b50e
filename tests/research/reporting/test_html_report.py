import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

from research.report import Claim, above, at_least
from research.reporting import html_report, origins
from research.reporting.html_report import write_report
from research.store.claims_file import claims_json

pytestmark = pytest.mark.fast

PNG = base64.b64decode(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
EVIL = "<script>alert('x')</script> & \"quotes\""


class Page(HTMLParser):
  """The tags, attributes and text of a page; fails where a tag is not closed in its place."""

  def __init__(self, text):
    super().__init__()
    self.open, self.tags, self.attributes, self.words = [], [], [], []
    self.feed(text)
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += attrs
    if tag not in {"meta", "img", "source"}:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.words.append(data)

  @property
  def text(self):
    return " ".join(" ".join(self.words).split())


def written(folder, **changes):
  png = folder / "curves.png"
  png.write_bytes(PNG)
  claim = Claim("C06", "test accuracy", "98.96 % (book)", 0.9893, at_least(0.989), "%")
  arguments = {
    "title": "simple_convnet",
    "docstring": "SimpleConvNet.\n\nIt learns MNIST.\n\n  python launch.py\n  --seed=1",
    "again": "python launch.py --experiment=simple_convnet",
    "config": {"epochs": 20, "optimizer": {"name": "adam", "learning_rate": 0.00123456789}},
    "environment": {"packages": {"jax": "0.10.2"}, "devices": ["cpu"]},
    "claims": claims_json([claim]),
    "pictures": [(png, "Learning curves.")],
    "rows": [{"fit": "train", "step": 12000, "test/accuracy": 0.9893}],
    "notes": ["Generated data stands in for MNIST."],
  }
  write_report(folder / "report.html", **{**arguments, **changes})
  return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_a_stranger_finds_everything(tmp_path):
  page = written(tmp_path)
  for words in (
    "1 of 1 claims hold",
    "pass C06 claim test accuracy source 98.96 % (book) ours 98.93 % bar ≥ 98.9 %",
    "It learns MNIST.",
    "Learning curves.",
    "test/accuracy 0.9893",
    "optimizer.learning_rate 0.00123456789",
    "packages.jax 0.10.2",
    "python launch.py --experiment=simple_convnet",
    "Generated data stands in for MNIST.",
  ):
    assert words in page.text


def test_the_idea_and_the_main_figure_come_before_the_claims(tmp_path):
  pictures = [(tmp_path / "curves.png", words) for words in ("The main one.", "Another.")]
  text = written(tmp_path, pictures=pictures).text
  order = (
    "It learns MNIST.",
    "The main one.",
    "98.93 %",
    "A claim is",
    "Another.",
    "Final metrics",
  )
  assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)


def test_words_between_backticks_are_code(tmp_path):
  page = written(tmp_path, docstring="It is `jax.grad` of <b>.\n\n  `verbatim`")
  assert "It is jax.grad of <b>." in page.text and "`verbatim`" in page.text


def test_pictures_travel_inside_and_nothing_is_fetched(tmp_path):
  page = written(tmp_path)
  sources = [value for name, value in page.attributes if name == "src"]
  assert [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources] == [PNG]
  assert "script" not in page.tags
  assert "link" not in page.tags


def test_every_text_is_escaped(tmp_path):
  claim = {"id": EVIL, "what": EVIL, "source": EVIL, "ours": None, "bar": "≥ 1", "verdict": EVIL}
  page = written(
    tmp_path,
    title=EVIL,
    docstring=f"{EVIL}\n\n  {EVIL}",
    again=EVIL,
    config={EVIL: {EVIL: EVIL}},
    environment={EVIL: [EVIL]},
    claims=[claim],
    pictures=[(tmp_path / "curves.png", EVIL)],
    rows=[{"fit": EVIL, EVIL: EVIL}],
    notes=[EVIL],
  )
  assert "script" not in page.tags
  times = {"title": 2, "docstring": 2, "command": 1, "config": 3, "environment": 2, "claims": 4}
  times |= {"pictures": 1, "rows": 3, "notes": 1}
  assert page.text.count("alert") == sum(times.values())
  assert ("alt", EVIL) in page.attributes


def test_what_is_missing_leaves_no_empty_section(tmp_path):
  page = written(tmp_path, claims=[], pictures=[], rows=[], notes=[], environment={})
  for heading in ("Claims", "Further figures", "Final metrics", "Found", "Environment"):
    assert heading not in page.text


def test_a_failure_leaves_the_old_report_and_no_rubbish(tmp_path):
  written(tmp_path)
  before = (tmp_path / "report.html").read_bytes()
  with pytest.raises(FileNotFoundError):
    written(tmp_path, title="new", pictures=[(tmp_path / "absent.png", "no")])
  assert (tmp_path / "report.html").read_bytes() == before
  assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "report.html"]


def test_a_page_that_cannot_take_its_place_leaves_no_rubbish(tmp_path):
  (tmp_path / "report.html").mkdir()
  with pytest.raises(OSError):
    written(tmp_path)
  assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "report.html"]


def test_a_reader_of_the_old_page_keeps_it_whole(tmp_path):
  written(tmp_path)
  with open(tmp_path / "report.html", encoding="utf-8") as old:
    written(tmp_path, title="new")
    assert "<title>simple_convnet</title>" in old.read()


def test_equal_runs_give_equal_pages(tmp_path):
  written(tmp_path)
  first = (tmp_path / "report.html").read_bytes()
  written(tmp_path)
  assert (tmp_path / "report.html").read_bytes() == first


def test_what_is_undecided_is_counted(tmp_path):
  claims = claims_json([Claim("Q02", "a less b", "", 0.1, above(0))])
  page = written(tmp_path, claims=claims)
  assert "0 of 1 claims hold, 1 undecided" in page.text
  assert "> 0 (95 % interval)" in page.text


def test_a_page_says_when_where_and_from_which_commit_it_came(tmp_path):
  environment = {"system": "Linux x86_64", "cores": 2, "devices": ["cpu:cpu"] * 2}
  page = written(
    tmp_path,
    environment=environment | {"commit": "0123456789abcdef with changes"},
    began=1.6e9,
    seconds=1200.0,
    file=Path(html_report.__file__),
    tries=[("A larger rate", "python launch.py --experiment=simple_convnet")],
  )
  assert "2020-09-1" in page.text and "trained for 20 min" in page.text
  assert "Linux x86_64, 2 cores, 2 × cpu:cpu · commit 0123456789 with changes" in page.text
  assert "Source: research/reporting/html_report.py" in page.text
  assert "Saito ch. 7" in page.text and "C06 SimpleConvNet on MNIST" in page.text
  (link,) = [value for _, value in page.attributes if value.endswith("html_report.py")]
  assert (tmp_path / link).resolve() == Path(html_report.__file__)
  assert page.text.index("Three things to try") < page.text.index("A larger rate")


def test_the_idea_comes_first_and_the_commands_of_the_docstring_behind(tmp_path):
  page = written(tmp_path)
  assert page.text.index("It learns MNIST.") < page.text.index("98.93 %")
  assert page.text.index("Final metrics") < page.text.index("--seed=1")


def test_a_drawing_beside_a_png_is_shown_and_opens_in_full_size(tmp_path):
  (tmp_path / "curves.svg").write_text("<svg/>")
  (tmp_path / "curves.narrow.svg").write_text("<svg> </svg>")
  page = written(tmp_path)
  held = dict(page.attributes)
  assert held["src"] == "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()
  assert held["srcset"].endswith(base64.b64encode(b"<svg> </svg>").decode())
  ids = {value for name, value in page.attributes if name == "id"}
  links = [value for name, value in page.attributes if name == "href" and value.startswith("#")]
  assert links == ["#curves", "#at-curves"] and {link[1:] for link in links} <= ids


def test_chapters_on_the_web_are_links():
  linked = origins.source_with_links("Saito ch. 6; d2l ch. 8; Nielsen ch. 6 <b>")
  assert linked.startswith("Saito ch. 6; <a href=")
  assert "https://d2l.ai/chapter_convolutional-modern/index.html" in linked
  assert "http://neuralnetworksanddeeplearning.com/chap6.html" in linked and "<b>" not in linked
