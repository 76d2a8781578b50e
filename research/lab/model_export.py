"""A trained network as files for others: StableHLO or safetensors, with a model card and a check.

The check is a program beside the model that imports neither this project nor anything of it; it is
run in a fresh process before the folder gets its name, so that a folder that is there was checked.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.errors import UserError
from research.lab.prediction import Inputs
from research.store.files import disk_full_is_a_user_error, sha256
from research.store.host_state import to_host

FORMATS = ("stablehlo", "safetensors")
NEEDS = {"stablehlo": "flatbuffers", "safetensors": "safetensors"}  # packages of an extra
PLATFORMS = ("cpu", "cuda", "tpu")
MODEL = {"stablehlo": "model.stablehlo", "safetensors": "model.safetensors"}
WEIGHTS = ("params/", "variables/")  # of a state: all that the network's answers depend on
EXAMPLES = 5  # inputs whose outputs are checked
TOLERANCE = 1e-5

LOADING = {
  "stablehlo": """\
import jax.export
import numpy as np

model = jax.export.deserialize(open("model.stablehlo", "rb").read())
outputs = model.call(np.load("example.npz")["inputs"])""",
  "safetensors": """\
from safetensors.numpy import load_file

arrays = load_file("model.safetensors")  # by the names of the layers, "/" between them""",
}
CHECKS = {
  "stablehlo": '''\
"""Compares the model's answers with those in example.npz; needs jax and numpy alone."""

import sys
from pathlib import Path

import jax.export
import numpy as np

here = Path(__file__).parent
model = jax.export.deserialize((here / "model.stablehlo").read_bytes())
example = np.load(here / "example.npz")
outputs = np.asarray(model.call(example["inputs"]))
wanted = example["outputs"]
worst = float(np.max(np.abs(outputs - wanted) / np.maximum(1, np.abs(wanted))))
alone = np.asarray(model.call(example["inputs"][:1]))  # a batch of another size
worst = max(worst, float(np.max(np.abs(alone - outputs[:1]))))
assert "research" not in sys.modules
print(f"largest difference {worst:.1e}")
sys.exit(not worst <= TOLERANCE)
''',
  "safetensors": '''\
"""Compares the arrays with their checksums in checksums.json; needs safetensors and numpy alone."""

import hashlib
import json
import sys
from pathlib import Path

from safetensors.numpy import load_file

here = Path(__file__).parent
arrays = load_file(here / "model.safetensors")
found = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
differ = [name for name, wanted in json.loads((here / "checksums.json").read_text()).items()
          if found.get(name) != wanted]
assert "research" not in sys.modules
print(f"{len(found)} arrays, {len(differ)} differ")
sys.exit(bool(differ))
''',
}


class Trained(NamedTuple):
  """A trained network.

  Attributes:
    name: of the experiment.
    outputs: of a batch [n, ...] of inputs in the form of the data; a pure function.
    state: of the learner.
    inputs: that form.
    about: further sections of the model card: heading and text, in order.
  """

  name: str
  outputs: Callable[[Any], Any]
  state: Any
  inputs: Inputs
  about: Mapping[str, str]


def check_request(folder: Path, form: str) -> None:
  """Checks that the format can be written and the folder is free.

  Raises:
    UserError: for an unknown format, one whose package is missing, or a folder that is in use.
  """
  if form not in FORMATS:
    raise UserError(f"--format={form} is not known; give {' or '.join(FORMATS)}")
  package = NEEDS[form]
  if importlib.util.find_spec(package) is None:
    raise UserError(
      f"--format={form} needs the package {package}; install it by pip install -e '.[export]'"
    )
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise UserError(f"--to={folder} is there already, and is left as it is; give another folder")


def export(folder: Path, form: str, trained: Trained) -> Path:
  """Writes a network, its card and its check into a new folder, and runs the check.

  Raises:
    UserError: as `check_request`; or where the network cannot be exported, or the check fails.
  """
  check_request(folder, form)
  partial = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
  try:
    with disk_full_is_a_user_error(folder.parent):
      partial.mkdir(parents=True)
      {"stablehlo": _write_stablehlo, "safetensors": _write_safetensors}[form](partial, trained)
      check = CHECKS[form].replace("TOLERANCE", repr(TOLERANCE))
      (partial / "check.py").write_text(check)
    said = _checked(partial)
    (partial / "README.md").write_text(_card(partial, form, trained, said))
    if folder.exists():
      folder.rmdir()  # it is empty
    partial.rename(folder)
  except OSError as error:
    raise UserError(f"--to={folder} cannot be written: {error.strerror}") from error
  finally:
    shutil.rmtree(partial, ignore_errors=True)
  return folder


def _write_stablehlo(folder: Path, trained: Trained) -> None:
  examples, function = _examples(trained.inputs), jax.jit(trained.outputs)
  (batch,) = jax.export.symbolic_shape("batch")
  form = jax.ShapeDtypeStruct((batch, *examples.shape[1:]), examples.dtype)
  try:
    exported = jax.export.export(function, platforms=PLATFORMS)(form)
    content = exported.serialize()
  except (ValueError, TypeError, NotImplementedError) as error:
    why = " ".join(str(error).split())[:200]
    raise UserError(f"the network cannot be exported for any batch size: {why}") from error
  (folder / MODEL["stablehlo"]).write_bytes(content)
  outputs = np.asarray(function(examples))
  np.savez(folder / "example.npz", inputs=examples, outputs=outputs)


def _write_safetensors(folder: Path, trained: Trained) -> None:
  from safetensors.numpy import save_file

  arrays = {
    name: np.ascontiguousarray(array)
    for name, array in to_host(trained.state).items()
    if name.startswith(WEIGHTS)
  }
  save_file(arrays, folder / MODEL["safetensors"], metadata={"format": "flax"})
  sums = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
  (folder / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n")


def _checked(folder: Path) -> str:
  """Runs the check in a process without this project; returns what it says."""
  run = subprocess.run(
    [sys.executable, "-I", "check.py"],
    capture_output=True,
    text=True,
    check=False,
    cwd=folder,
  )
  if run.returncode:
    last = (run.stderr.strip() or run.stdout.strip()).splitlines()[-1:]
    raise UserError(f"the exported model fails its check: {' '.join(last)}; nothing is left there")
  return run.stdout.strip()


def _card(folder: Path, form: str, trained: Trained, said: str) -> str:
  """The model card, as Markdown."""
  shape = ", ".join(map(str, trained.inputs.shape))
  files = "\n".join(f"- `{path.name}`: {sha256(path)}" for path in sorted(folder.iterdir()))
  sections = {
    **trained.about,
    "Inputs": f"{trained.inputs.dtype} [batch, {shape}], in the units of the data.",
    "Loading": f"```python\n{LOADING[form]}\n```",
    "Check": f"`python check.py`, in a fresh process: {said}.",
    "Files, by SHA-256": files,
  }
  parts = [f"# {trained.name}", *(f"## {name}\n\n{text}" for name, text in sections.items())]
  return "\n\n".join(parts) + "\n"


def _examples(inputs: Inputs) -> np.ndarray:
  """Random inputs, so that nobody's data leave with a model."""
  rng, shape = np.random.default_rng(0), (EXAMPLES, *inputs.shape)
  if inputs.dtype.kind in "iu":
    return rng.integers(0, 2 ** (8 * inputs.dtype.itemsize - 1), shape).astype(inputs.dtype)
  return rng.normal(size=shape).astype(inputs.dtype)
