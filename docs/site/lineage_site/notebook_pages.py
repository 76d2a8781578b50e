"""Pages of the notebooks, which show their texts and their code."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

ORDER = ("quick_start", "your_own_change", "sweep", "agent")  # of learning
_ABOUT = """# Notebooks

Each runs from top to bottom on a CPU in under a minute, with data that is there. In a checkout:

```shell
pip install -e '.[notebooks]' -c constraints.txt
```

installs the project with a kernel, for Jupyter or an editor that opens `docs/notebooks/`."""


def notebooks(folder: Path) -> dict[str, str]:
  """The notebooks in a folder as pages in Markdown, by name, in the order of learning."""
  found = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
  order = sorted(found, key=lambda name: ([*ORDER, name].index(name), name))
  return {name: page(name, found[name]) for name in order}


def page(name: str, text: str) -> str:
  """A notebook as Markdown, with a link to its file; links between notebooks lead to pages."""
  parts = []
  for cell in json.loads(text)["cells"]:
    content = "".join(cell["source"])
    is_code = cell["cell_type"] == "code"
    parts.append(f"```python\n{content}\n```" if is_code else _linked(content))
  download = f"{{download}}`The notebook <../../../notebooks/{name}.ipynb>`, to run."
  return "\n\n".join([parts[0], download, *parts[1:]]) + "\n"


def _linked(text: str) -> str:
  return re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text)


def contents(pages: Mapping[str, str]) -> str:
  """The page above the notebooks."""
  lines = []
  for name, text in pages.items():
    title, _, rest = text.partition("\n\n")
    about = rest.split("\n\n")[0].replace("\n", " ")
    lines.append(f"- [{title.removeprefix('# ')}](notebooks/{name}.md): {about}")
  tree = "\n".join(f"notebooks/{name}" for name in pages)
  return f"{_ABOUT}\n\n" + "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
