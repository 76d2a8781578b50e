"""Which code a run was made by."""

import pytest

from research.lab.process import code_digest

pytestmark = pytest.mark.fast

FILES = {
  "research/config.py": "1",
  "experiments/own/net.py": "import helper\nfrom experiments.own import losses\nfrom . import near\n",
  "experiments/own/losses.py": "def loss():\n  from deep.inside import model\n",
  "experiments/own/near.py": "import math\n",
  "experiments/own/other.py": "1",
  "deep/inside/model.py": "from ..beside import x\n",
  "deep/beside.py": "x = 1\n",
  "helper.py": "import net_that_is_nowhere\n",
}


@pytest.mark.parametrize("path", FILES)
def test_an_edit_of_any_imported_module_changes_the_code_digest(tmp_path, path):
  for name, text in FILES.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  before = code_digest(tmp_path / "experiments/own/net.py", tmp_path)
  (tmp_path / path).write_text(FILES[path] + "# edited")
  assert (code_digest(tmp_path / "experiments/own/net.py", tmp_path) == before) == (
    path == "experiments/own/other.py"
  )
