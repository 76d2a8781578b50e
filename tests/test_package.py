"""The installed package, its public names, and the inventory that explains the ids."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import research

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent
IDS = re.findall(r"^\| ([A-Z]\d\d) \|", (ROOT / "docs" / "inventory.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", sorted(research._public()))
def test_every_public_name_is_there_and_documented(name):
  value = getattr(research, name)
  module, attribute = research._public()[name]
  assert value is getattr(importlib.import_module(module), attribute)
  assert value.__doc__ or isinstance(value, (tuple, dict)), f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error():
  with pytest.raises(AttributeError, match="'nonsense'"):
    research.nonsense  # noqa: B018


def test_the_public_names_are_listed_without_importing_jax():
  code = (
    "import research, sys; assert 'supervised' in dir(research); sys.exit('jax' in sys.modules)"
  )
  assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_inventory_explains_each_of_the_115_ids_once():
  assert len(IDS) == len(set(IDS)) == 115


def test_every_id_that_an_experiment_claims_names_it_in_the_inventory():
  lines = (ROOT / "docs" / "inventory.md").read_text().splitlines()
  line_of = {line[2:5]: line for line in lines if re.match(r"\| [A-Z]\d\d \|", line)}
  claimed = set(re.findall(r"^\| ([A-Z]\d\d) \|", (ROOT / "RESULTS.md").read_text(), re.MULTILINE))
  assert claimed <= set(line_of)
  for path in ROOT.glob("experiments/*/*.py"):
    for row in set(re.findall(r'"([A-Z]\d\d)"', path.read_text())):
      assert path.stem in line_of[row], f"docs/inventory.md: {row} does not name {path.stem}"


@pytest.mark.slow
def test_the_installed_command_runs_from_an_empty_folder(tmp_path):
  """Builds a wheel, as `pip install .` does, and starts the quick start far from the checkout."""
  site, empty = tmp_path / "site", tmp_path / "empty"
  empty.mkdir()
  pip = [
    sys.executable,
    "-m",
    "pip",
    "install",
    "-q",
    "--no-deps",
    "--target",
    str(site),
    str(ROOT),
  ]
  subprocess.run(pip, check=True)
  cli = f"import sys; sys.path.insert(0, {str(site)!r}); import launch; sys.exit(launch.command())"
  start = lambda *words: subprocess.run(
    [sys.executable, "-c", cli, *words], cwd=empty, capture_output=True, text=True, check=False
  )
  listed = start("--list")
  assert listed.returncode == 0 and "simple_convnet" in listed.stdout
  run = start("--epochs=2", "--workdir=run")
  assert run.returncode == 0, run.stderr
  assert (empty / "run" / "report.html").exists()
