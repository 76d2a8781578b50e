"""The documentation site as a whole: it builds without a warning, and a browser shows it well."""

import html.parser
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.fixtures import browser as browsers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PAGES = (
  "index.html",
  "learn/families.html",
  "learn/families/sequences.html",
  "learn/experiments/gates.html",
  "learn/experiments/simple_convnet.html",
  "learn/experiments/translation.html",
  "learn/experiments/update_rules.html",
  "learn/experiments/dqn_catch.html",
  "learn/books/saito.html",
  "learn/concepts.html",
  "learn/inventory.html",
  "learn/results.html",
  "learn/source.html",
  "howto/sweep.html",
  "howto/add_an_experiment.html",
  "api/learners.html",
  "api/figures.html",
  "source/research/learner.html",
  "source/experiments/perceptrons/gates.html",
  "architecture.html",
  "benchmarks.html",
)
WIDER = (  # what sticks out of the window on the right, and what of it cannot be scrolled to
  "document.documentElement.scrollWidth - document.documentElement.clientWidth"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  pytest.importorskip("sphinx", reason="the site needs the extra docs: pip install -e '.[docs]'")
  folder = tmp_path_factory.mktemp("site")
  command = [sys.executable, "-m", "sphinx", "-M", "html", "docs/site", str(folder), "-W", "-q"]
  built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
  assert built.returncode == 0, built.stdout + built.stderr
  return folder / "html"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
  if browsers.path() is None:
    pytest.skip(f"no browser is installed under any of the names {', '.join(browsers.NAMES)}")
  with browsers.browser(tmp_path_factory.mktemp("profile")) as page:
    yield page


class Links(html.parser.HTMLParser):
  """The addresses that a page names, and the ids that it has."""

  def __init__(self, text):
    super().__init__()
    self.names, self.ids = [], set()
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    found = dict(attributes)
    self.ids |= {found["id"]} if found.get("id") else set()
    self.names += [(tag, found[key]) for key in ("href", "src") if found.get(key)]


@pytest.fixture(scope="module")
def links(site):
  files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
  return {path.resolve(): Links(path.read_text(encoding="utf-8")) for path in files}


def test_every_link_leads_to_a_file_and_to_an_anchor(links):
  broken = []
  for path, page in links.items():
    for _, name in page.names:
      parts = urlsplit(name)
      if parts.scheme or parts.netloc:
        continue
      target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
      anchor = unquote(parts.fragment)
      has_anchor = not anchor or target not in links or anchor in links[target].ids | {"top"}
      if not (target.exists() and has_anchor):
        broken.append((path.name, name))
  assert not broken, broken[:20]


def test_nothing_is_loaded_from_elsewhere(links):
  loaded = [
    (path.name, name)
    for path, page in links.items()
    for tag, name in page.names
    if tag in ("link", "script", "img", "iframe") and urlsplit(name).netloc
  ]
  assert not loaded


def test_every_experiment_has_a_page_with_claims_code_and_something_to_try(site):
  experiments = {path.stem for path in ROOT.glob("experiments/*/*.py")} - {"__init__"}
  pages = {path.stem: path.read_text() for path in (site / "learn/experiments").glob("*.html")}
  assert set(pages) == experiments
  for name, text in pages.items():
    assert all(f'id="{part}"' in text for part in ("the-code-that-matters", "claims", "now-try"))
    assert text.count('<div class="highlight-shell') >= 3, name
  assert sum("<math" in text for text in pages.values()) >= 30


@pytest.mark.parametrize("size", [browsers.DESKTOP, browsers.PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_window_and_the_console_is_silent(site, page, name, size):
  page.open((site / name).as_uri(), size)
  assert page.complaints == []
  assert page.run(WIDER) <= 0
  assert page.run("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize(
  ("word", "found"),
  [
    ("lstm", "learn/experiments/lstm_equations.html"),
    ("transformer", "learn/experiments/translation.html"),
    ("adam", "learn/experiments/update_rules.html"),
    ("lenet", "learn/experiments/architecture.html"),
    ("gan", "learn/concepts.html#concept-gan"),
  ],
)
def test_a_search_in_files_finds_words(site, page, word, found):
  page.open(f"{(site / 'search.html').as_uri()}?q={word}")
  hits = page.wait_for(
    "document.querySelector('#search-results .search-summary')?.innerText.includes('found')"
    " && [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
  )
  assert any(found in hit for hit in hits), hits
  assert page.complaints == []
