"""An experiment in a stranger's folder, in processes of its own: killed, swept elsewhere."""

import signal

import pytest

from tests.fixtures.processes import launch, outcome, start, steps_saved, wait_for

pytestmark = pytest.mark.slow

LONG = ("--experiment=idea.py", "--epochs=300", "--save_seconds=0")
SWEEP = ("--experiment=idea.py", "--sweep=optimizer.learning_rate=log(1e-4,1e-1)", "--trials=2")


@pytest.fixture
def folder(tmp_path):
  """A folder with the file that `new` writes, whose network stands in a file beside it."""
  assert launch("new", "idea", cwd=tmp_path)[0] == 0
  text = (tmp_path / "idea.py").read_text()
  start, end = text.index("class Network"), text.index("def model")
  (tmp_path / "my_network.py").write_text(f"import flax.linen as nn\n\n\n{text[start:end]}")
  text = text[:start] + text[end:]
  (tmp_path / "idea.py").write_text(
    text.replace(
      "import flax.linen as nn", "import flax.linen as nn\nfrom my_network import Network"
    )
  )
  return tmp_path


def test_after_a_kill_it_ends_equal_to_the_byte(folder):
  assert launch(*LONG, "--workdir=whole", cwd=folder)[0] == 0
  process = start(*LONG, "--workdir=cut", cwd=folder)
  assert wait_for(lambda: steps_saved(folder / "cut"), process)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert not (folder / "cut" / "claims.json").exists()
  code, _, err = launch(*LONG, "--workdir=cut", cwd=folder)
  assert code == 0, err
  whole, cut = outcome(folder / "whole"), outcome(folder / "cut")
  shared = {name for name in whole if not name.startswith("train/last/")} & set(cut)
  assert shared and all(whole[name] == cut[name] for name in shared)


def test_workers_elsewhere_train_it_to_the_same_study(folder):
  pytest.importorskip("submitit")
  far = ("--engine=slurm", "--workers=1")
  for name, more in (("local", ()), ("far", far)):
    words = (*SWEEP, "--epochs=1", "--validation=0.1", f"--workdir={name}", *more)
    code, _, err = launch(*words, cwd=folder)
    assert code == 0, err
  results = [(folder / name / "results.parquet").read_bytes() for name in ("local", "far")]
  assert results[0] == results[1]
