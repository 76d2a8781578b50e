"""What the documents show is run here."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import PIL.Image
import pytest

import launch
from research.cli import new_file, runner
from research.cli.grammar import WITH_OWN_FLAGS
from research.config import replace
from research.data import sets
from research.lab.lab import Lab
from research.training import Options

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
  (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
]
DOCSTRINGS = [
  ast.get_docstring(ast.parse(path.read_text())) or "" for path in ROOT.glob("experiments/*/*.py")
]
COMMANDS = [
  match[0].replace("\\\n", " ").split("#")[0]
  for text, indent in [(text, "") for text in DOCUMENTS] + [(text, " {4}") for text in DOCSTRINGS]
  for match in re.finditer(rf"(?m)^{indent}python launch\.py(?:.*\\\n)*.*$", text)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_command_is_understood(command, capsys):
  _, cli, *arguments = shlex.split(command)
  assert launch.main([cli, *arguments, "--help"]) == 0, capsys.readouterr().err
  has_own_flags = arguments and arguments[0] in WITH_OWN_FLAGS
  assert (
    "Flags of" if has_own_flags else "--seed"
  ) in capsys.readouterr().out or "--list" in command


def test_the_experiment_that_contributing_shows_is_a_whole_one(tmp_path):
  text = (ROOT / "CONTRIBUTING.md").read_text()
  path = tmp_path / "lenet_digits.py"
  path.write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
  spec = importlib.util.spec_from_file_location("lenet_digits", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  (tmp_path / "run").mkdir()
  lab = Lab(tmp_path / "run", seed=0, options=Options())
  config = replace(module.Config(), {"epochs": 1})
  report = runner.conduct(module.experiment, config, lab)
  assert [claim.id for claim in report.claims] == ["A01"]
  assert (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_links_lead_somewhere(document):
  for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
    assert (ROOT / target).exists(), f"{document} links to {target}"
  for target in re.findall(
    r"`((?:research|tests|benchmarks)/[\w/]+\.py)`", (ROOT / document).read_text()
  ):
    assert (ROOT / target).exists(), f"{document} speaks of {target}"


def test_a_strangers_file_in_a_strangers_folder_goes_from_start_to_report(
  tmp_path, monkeypatch, capfd
):
  """Runs the commands of the README's sections on one's own experiment, as they stand there."""
  pytest.importorskip("flatbuffers")
  pytest.importorskip("safetensors")
  monkeypatch.chdir(tmp_path)
  text = (ROOT / "README.md").read_text()
  text = text[text.index("## Your own experiment") : text.index("## Scale out")]
  commands = [line.split("#")[0] for line in re.findall(r"(?m)^lineage .*$", text)]
  assert {verb for verb in ("new", "sweep", "verify", "predict", "export")} <= {
    shlex.split(command)[1] for command in commands
  }
  digits = sets.load("digits").test["image"]
  (tmp_path / "pictures").mkdir()
  for path, image in (("picture.png", digits[0]), ("pictures/one.png", digits[1])):
    PIL.Image.fromarray(image[..., 0]).save(tmp_path / path)
  (tmp_path / "rows.csv").write_text(",".join(map(str, digits[0].ravel())) + "\n")
  out = {}
  for command in commands:
    code = launch.main(["lineage", *shlex.split(command)[1:]])
    out[command], err = capfd.readouterr()
    assert code == 0, (command, err)
  answers = next(said for command, said in out.items() if " predict " in command)
  assert [line.split("\t")[0] for line in answers.splitlines()] == [
    "picture.png",
    "pictures/one.png",
    "rows.csv:1",
  ]
  for path in (
    "first/report.html",
    "RESULTS.md",
    "docs/gallery/mine.md",
    "model/README.md",
    "weights/check.py",
  ):
    assert (tmp_path / path).exists(), path


def test_docstrings_begin_with_what_a_thing_is_or_does():
  """Not with a question word, which leaves the sentence to be completed by the code below it."""
  paths = [*ROOT.glob("research/**/*.py"), *ROOT.glob("experiments/**/*.py")]
  texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
  texts["the file that `new` writes"] = new_file.TEMPLATE
  kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
  opened = [
    f"{place}: {text.splitlines()[0]}"
    for place, source in texts.items()
    for node in ast.walk(ast.parse(source))
    if isinstance(node, kinds) and (text := ast.get_docstring(node))
    if re.match(r"(What|Of|Whether|How|Who|Where|Which|When|Why)\b", text)
  ]
  assert not opened, "\n".join(opened)


def test_sources_are_cited_by_book_or_paper():
  """Not as "the notes", which no reader has."""
  kinds = (
    "research/**/*.py",
    "experiments/**/*.py",
    "docs/**/*.md",
    "docs/**/*.toml",
    "docs/**/*.json",
    "*.md",
  )
  paths = [path for kind in kinds for path in ROOT.glob(kind)]
  named = [str(path) for path in paths if re.search(r"\b[Tt]he notes\b|\bnotes'", path.read_text())]
  assert not named
