"""The notebooks: stored without outputs, shown on the site, and run from top to bottom."""

import json
import os
import re
from pathlib import Path

import pytest

from lineage_site import notebook_pages

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "notebooks"
CELLS = {path.stem: json.loads(path.read_text())["cells"] for path in FOLDER.glob("*.ipynb")}


@pytest.mark.fast
def test_the_notebooks_are_the_four_of_the_site():
  assert set(CELLS) == set(notebook_pages.ORDER)
  assert list(notebook_pages.notebooks(FOLDER)) == list(notebook_pages.ORDER)


@pytest.mark.fast
@pytest.mark.parametrize("name", CELLS)
def test_a_notebook_holds_no_output(name):
  code = [cell for cell in CELLS[name] if cell["cell_type"] == "code"]
  assert len(code) > 3
  assert not any(cell["outputs"] or cell["execution_count"] is not None for cell in code)


@pytest.mark.fast
@pytest.mark.parametrize("name", CELLS)
def test_a_page_has_every_cell_and_leads_to_pages(name):
  pages = notebook_pages.notebooks(FOLDER)
  shown = pages[name]
  assert shown.startswith("# ") and shown.count("\n```python\n") == len(
    [cell for cell in CELLS[name] if cell["cell_type"] == "code"]
  )
  linked = re.findall(r"\]\((\w+)\.(\w+)\)", shown)
  assert all(kind == "md" and other in pages for other, kind in linked)
  about = "".join(CELLS[name][0]["source"]).split("\n\n")[1].replace("\n", " ")
  assert f"](notebooks/{name}.md): {about}\n" in notebook_pages.contents(pages)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
  nbformat = pytest.importorskip("nbformat", reason="needs the extra notebooks")
  nbclient = pytest.importorskip("nbclient", reason="needs the extra notebooks")
  notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
  nbformat.validate(notebook)
  own = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
  client = nbclient.NotebookClient(
    notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
  )
  client.execute(env=own | {"PYTHONPATH": str(ROOT)})
  shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
  assert any("<img " in output.get("data", {}).get("text/html", "") for output in shown)
  assert not list(tmp_path.iterdir())  # what it makes goes to a temporary folder
