"""The pure functions that make the site's pages."""

import re
import tomllib
from pathlib import Path

import pytest

from lineage_site import facts, gathering, inventory, prose, public_pages, source_pages, targets
from lineage_site.experiment_pages import page
from lineage_site.prose import Names
from research.lab import registry
from research.reporting import origins
from research.reporting.next_steps import next_steps

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent.parent
NAMES = Names({"gates"}, {"R07"}, {"Learner"}, {"research/learner.py"})


@pytest.mark.parametrize(
  ("text", "shown"),
  [
    ("the net of R07, not R99", "the net of [R07](lineage:system/R07), not R99"),
    ("see `gates`", "see [`gates`](lineage:experiment/gates)"),
    ("see `ln.Learner`", "see [`ln.Learner`](lineage:public/Learner)"),
    ("in `research/learner.py`", "in [`research/learner.py`](lineage:source/research/learner.py)"),
    ("in `research.learner`", "in [`research.learner`](lineage:source/research/learner.py)"),
    ("w_1 * x_2 < |r|", r"w\_1 \* x\_2 \< \|r\|"),
    ("- 3 is negative", r"\- 3 is negative"),
    ("10. is a number", r"10\. is a number"),
    ("of `a_b` and c_d", r"of `a_b` and c\_d"),
  ],
)
def test_a_sentence_keeps_its_characters_and_gets_links(text, shown):
  assert prose.inline(text, NAMES) == shown


def test_a_docstring_has_paragraphs_commands_and_entries():
  text = """Goes on
over lines.

    python launch.py --experiment=gates

    python launch.py

Args:
  first: one,
    still the first.
  second: two.
"""
  assert prose.markdown(text, NAMES) == (
    "Goes on over lines.\n\n"
    "```shell\npython launch.py --experiment=gates\n\npython launch.py\n```\n\n"
    "**Args**\n\n- `first`: one, still the first.\n- `second`: two."
  )


def test_a_section_ends_where_the_next_of_its_level_begins():
  document = "# A\n\n## B\n\nb\n\n```bash\n# no heading\n```\n\n### C\n\nc\n\n## D\n\nd\n"
  assert prose.section(document, "B") == "b\n\n```bash\n# no heading\n```\n\n## C\n\nc"
  assert prose.section(document, "C") == "c"
  with pytest.raises(KeyError, match="no heading 'E'"):
    prose.section(document, "E")


@pytest.mark.parametrize(
  ("source", "anchors"),
  [
    ("Saito ch. 5 and appendix A", ["saito-5"]),
    ("Ng, *Deep Learning Specialization*, course 2, week 1", ["ng-2-1"]),
    ("Zhang et al., *Dive into Deep Learning* (d2l) ch. 9; Pascanu et al. 2013", ["d2l-9"]),
    ("Saito ch. 8; Nielsen, *Neural Networks and Deep Learning*, ch. 6", ["saito-8", "nielsen-6"]),
    ("Kirkpatrick et al. 1983", []),
  ],
)
def test_the_chapters_that_a_source_cites(source, anchors):
  found = [chapter.book.anchor(chapter.numbers) for chapter in inventory.chapters_of(source)]
  assert found == anchors


def test_every_system_of_the_inventory_is_read_and_every_chapter_has_a_title():
  text = (ROOT / "docs/inventory.md").read_text()
  rows = origins.rows(text)
  assert f"{len(rows)} of them" in text
  assert {row.id for row in rows} == set(re.findall(r"(?m)^\| ([A-Z]\d\d) ", text))
  for book in inventory.BOOKS:
    assert set(inventory.by_chapter(rows, book)) == set(book.chapters), book.key


def test_every_experiment_has_a_concept_and_every_concept_only_experiments():
  table = tomllib.loads((ROOT / "experiments/concepts.toml").read_text())["concept"]
  there = {path.stem for path in ROOT.glob("experiments/*/*.py")} - {"__init__"}
  assert {name for concept in table for name in concept["experiments"]} == there


def test_lessons_are_of_experiments_and_at_least_thirty_have_formulas():
  lessons = tomllib.loads((ROOT / "docs/site/lessons.toml").read_text())
  there = {path.stem for path in ROOT.glob("experiments/*/*.py")} - {"__init__"}
  assert set().union(*lessons.values()) <= there
  assert len(lessons["formulas"]) >= 30


def test_the_facts_of_an_experiment():
  found = facts.facts_of(ROOT, "experiments/convolution/deep_convnet.py")
  form, *_, optimizer, batch_size, _ = found.fields
  assert form == facts.Field(
    "form", "static", "repaired", "whether the logits are dropped too (book) or not",
    ("book", "repaired"),
  )  # fmt: skip
  assert optimizer.kind == "nested" and batch_size.default == "100"
  assert found.modules == {"research/models/deep_convnet.py": ("DeepConvNet",)}
  assert "supervised_training" in found.publics and "model" in {e.name for e in found.excerpts}


def test_an_excerpt_is_the_lines_that_it_says():
  path = "experiments/perceptrons/gates.py"
  (found,) = facts.facts_of(ROOT, path, ["xor"]).excerpts
  lines = (ROOT / path).read_text().splitlines()
  assert found.text.splitlines() == lines[found.first - 1 : found.last]
  assert found.text.startswith("def xor(")
  with pytest.raises(KeyError):
    facts.facts_of(ROOT, path, ["nor"])


def test_the_reference_has_every_public_name_once():
  stub = (ROOT / "research/__init__.pyi").read_text()
  names = [name for _, name, _ in gathering.reference()]
  assert sorted(names) == sorted(source_pages.public_names(stub, ROOT))


def test_every_public_name_has_an_example():
  material = gathering.gathered()
  for _, name, example in gathering.reference():
    text = public_pages.entry(
      ROOT, name, material.publics[name], material.names, material.uses, example
    )
    assert "**Example**" in text and "doctest" not in text, name


def test_pages_are_the_same_twice_and_their_links_have_targets():
  material = gathering.gathered()
  pages = gathering.pages(material)
  assert pages == gathering.pages(material)
  assert len([name for name in pages if "/experiments/" in name]) == len(material.experiments)
  for name, text in pages.items():
    for kind, place in re.findall(r"\(lineage:(\w+)/([^)\s]+)\)", text):
      assert targets.resolve(material.site, kind, place), name


def test_sections_that_pages_take_over_are_there_and_their_links_have_pages():
  extension = pytest.importorskip("lineage_site.extension", reason="needs the extra docs")
  for path in (ROOT / "docs/site").glob("**/*.md"):
    for document, heading in re.findall(r"(?m)^<!-- ([A-Z]+): (.+?) -->$", path.read_text()):
      assert len(extension.section_of(document, heading)) > 40, (path.name, heading)


@pytest.mark.parametrize("link", [("experiment", "nothing"), ("source", "research/nothing.py#L1")])
def test_a_link_that_leads_nowhere_is_refused(link):
  with pytest.raises(KeyError):
    targets.resolve(gathering.gathered().site, *link)


def test_a_source_page_links_what_it_imports():
  found = source_pages.targets(ROOT, "experiments/perceptrons/gates.py")
  path, _, line = found["fire"].partition("#L")
  assert (ROOT / path).read_text().splitlines()[int(line) - 1].startswith("def fire(")
  code = source_pages.code(
    ROOT, "experiments/perceptrons/gates.py", {"ln.pytree_config": "there", "fire": "here"}
  )
  assert '<a href="there">pytree_config</a>' in code and '<a href="here">fire</a>' in code
  assert 'id="L1"' in code and 'href="#L1"' in code


def test_a_page_shows_what_a_report_says_is_to_be_tried():
  entries = registry.catalogue()
  for experiment in gathering.gathered().experiments.values():
    shown = page(experiment, NAMES, "../../..").partition("## Now try")[2]
    steps = next_steps(registry.load(entries[experiment.name]))
    assert all(shown.count(f"\n{command}\n") == 1 for _, command in steps), experiment.name
