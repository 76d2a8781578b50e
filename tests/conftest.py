"""Settings of the whole suite; they must stand before JAX starts."""

import os

os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from jaxtyping import install_import_hook

from research.lab import environment

environment.prepare_jax(collectives=True, reexecute=False)
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
