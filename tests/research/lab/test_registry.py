import pytest

from research.errors import UserError
from research.lab import registry

pytestmark = pytest.mark.fast


@pytest.fixture
def root(tmp_path):
  for name, text in {
    "first/__init__.py": '"""A family."""',
    "first/one.py": '"""One does this.\n\nMore words.\n"""\nimport nonsense_that_is_not_there',
    "first/two.py": "x = 1",
    "second/broken.py": '"""Broken."""\ndef (:',
    "second/ünïcode.py": '"""Zürich."""',
  }.items():
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
  return tmp_path


def test_the_catalogue_reads_docstrings_and_imports_nothing(root):
  entries = registry.catalogue(root)
  assert list(entries) == ["one", "two", "broken", "ünïcode"]
  assert (entries["one"].family, entries["one"].summary) == ("first", "One does this.")
  assert entries["two"].summary == ""


def test_a_broken_file_does_not_hide_the_others(root):
  text = registry.listing(list(registry.catalogue(root).values()))
  assert "Zürich." in text and "cannot be read" in text and "line 2" in text
  assert text.splitlines()[0] == "first:" and "second:" in text.splitlines()


def test_a_name_selects_an_experiment_a_family_or_all(root):
  names = lambda name: [entry.name for entry in registry.select(name, root)]
  assert names("one") == ["one"]
  assert names("first") == ["one", "two"]
  assert names("all") == ["one", "two", "broken", "ünïcode"]
  with pytest.raises(UserError, match="did you mean broken"):
    names("brocken")


def test_no_experiment_hides_behind_anothers_name():
  files = [path for path in registry.ROOT.glob("*/*.py") if path.stem != "__init__"]
  families = {path.parent.name for path in files}
  assert len(registry.catalogue()) == len(files)
  assert not families & set(registry.catalogue()) and "all" not in families


def test_every_experiment_says_its_command_and_what_to_expect():
  for entry in registry.catalogue().values():
    assert "python launch.py" in entry.docstring and "Expected" in entry.docstring, entry.name
    assert entry.summary.endswith("."), entry.name


def test_a_command_that_is_the_only_indented_block_keeps_its_indentation(root):
  (root / "first/own.py").write_text('"""Own.\n\n    python launch.py\n\nExpected.\n"""\n')
  assert "\n\n    python launch.py\n\n" in registry.catalogue(root)["own"].docstring
