"""Settings of the whole suite; they must stand before JAX starts."""

import os

os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import hypothesis
import pytest
from jaxtyping import install_import_hook

from research.lab import process

process.prepare_jax(collectives=True, reexecute=False)
# The same cases in every run, however busy the machine is, and nothing kept between runs.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")
# Shapes stand in the annotations; the suite checks every call of these modules against them. Modules
# that hold a config are left out: its fields are annotated as numbers, and may be tracers.
install_import_hook(
  [
    "research.layers",
    "research.models",
    "research.losses",
    "research.metrics",
    "research.batch",
    "research.data.sampling",
    "research.energy.boltzmann",
    "research.energy.belief_net",
    "research.energy.rbm",
    "research.learner",
    "research.compile",
    *(
      f"research.rl.{path.stem}"
      for path in Path(__file__).parent.parent.glob("research/rl/*.py")
      if path.stem != "agent"  # holds a config
    ),
  ],
  "beartype.beartype",
)


@pytest.fixture
def cli(monkeypatch, tmp_path, capfd):
  """Launches a tiny experiment, of one fit or of several, in a folder of its own."""
  from tests.fixtures import tiny_experiment  # behind the hook

  tiny_experiment.install(
    monkeypatch, tmp_path, tiny_net=tiny_experiment.ONE, tiny_race=tiny_experiment.SEVERAL
  )
  return lambda *arguments, **options: tiny_experiment.launched(capfd, *arguments, **options)


# Their tests bound numbers; no two programs must agree to the byte.
BOUNDED = tuple(
  Path(__file__).parent / folder
  for folder in (
    "experiments",
    "parity",
    *(f"research/{part}" for part in ("analysis", "models", "layers", "energy")),
  )
)


@pytest.fixture(autouse=True, scope="module")
def programs_of_the_process(request):
  """Compiled programs, shared by the files of a folder.

  Bounded numbers are compiled without LLVM's costly passes, half of these tests' time; all others
  are compiled as users' are. Programs hold memory maps, of which Linux allows a process 65,530
  before it crashes: they are dropped when a third of them are taken. What is kept is out of the
  garbage collector's sight, which would look through all of it time and again.
  """
  import jax  # behind the hook

  is_bounded = any(request.path.is_relative_to(folder) for folder in BOUNDED)
  maps = Path("/proc/self/maps")
  if (
    is_bounded != jax.config.read("jax_disable_most_optimizations")
    or not maps.exists()
    or maps.read_bytes().count(b"\n") > 20_000
  ):
    gc.unfreeze()
    jax.clear_caches()
    gc.collect()
  gc.freeze()
  jax.config.update("jax_disable_most_optimizations", is_bounded)


def pytest_collection_modifyitems(config, items):
  """`-m fast` leaves out the slow tests of fast modules."""
  if config.option.markexpr == "fast":
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
