"""Runs as values, for `--evaluate` and for notebooks.

from research.lab.open_run import open_run
run = open_run("runs/digits_convnet/0123456789")
run.history, run.claims, run.best_state(), run.evaluate()
"""

import inspect
import os
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from research.compile import compile_learner
from research.config import from_json
from research.errors import UserError
from research.lab import registry, run_folder
from research.lab.compiled_training import evaluation
from research.lab.lab import warn
from research.lab.run_folder import is_finished, read_identity
from research.store import checkpoint
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.metrics_log import Row, read_rows
from research.training import Training, on_device


class Run:
  """A finished or running run, read only."""

  def __init__(self, folder: Path):
    """Reads the run's identity.

    Raises:
      UserError: when there is no run in the folder.
    """
    self.folder = folder
    self.identity = read_identity(folder)
    self.module: ModuleType = registry.load(registry.select(self.identity.experiment)[0])
    fields = {n: v for n, v in self.identity.config.items() if not n.startswith("--")}  # of a sweep
    self.config: Any = from_json(self.module.Config(), fields)

  @property
  def history(self) -> list[Row]:
    """All rows of metrics so far."""
    return read_rows(self.folder)

  @property
  def claims(self) -> list[dict[str, Any]]:
    """The claims; none before the run is finished."""
    return run_folder.read_claims(self.folder) if is_finished(self.folder) else []

  @cached_property
  def training(self) -> Training:
    """The run's only fit, with its data.

    Raises:
      UserError: for an experiment of several stages.
    """
    if not hasattr(self.module, "training"):
      raise UserError(f"{self.identity.experiment} has several fits; open its checkpoints by name")
    make = self.module.training
    draws_data = "seed" in inspect.signature(make).parameters
    return make(self.config, self.identity.seed) if draws_data else make(self.config)

  def snapshot(self, fit: str = "", *, best: bool = True) -> Snapshot:
    """The best or the latest checkpoint of a fit, which need not be named where there is one.

    Raises:
      UserError: when there is none yet; or several fits and no name.
    """
    fits = sorted(path.name for path in (self.folder / "checkpoints").glob("*"))
    if not fit:
      fit = fits[0] if len(fits) == 1 else "train"
      if fits and fit not in fits:
        raise UserError(f"{self.folder} has several fits; name one: {', '.join(fits)}")
    folder = self.folder / "checkpoints" / fit
    found = None
    if checkpoint.exists(folder):
      checkpoints = Checkpoints(folder, warn=warn, read_only=True)
      found = checkpoints.best() if best else checkpoints.latest()
      checkpoints.close()
    if found is None:
      raise UserError(
        f"{self.folder} has no checkpoint of fit {fit!r} yet; run it for a while first"
      )
    return found

  def best_state(self) -> Any:
    """The state in the best checkpoint (the latest where none is ranked), leaves on the host."""
    init = self.training.learner.init
    template = jax.eval_shape(init, on_device(self.config), jax.random.key(0))
    return checkpoint.from_host(self.snapshot().arrays, template)

  def evaluate(self) -> dict[str, dict[str, float]]:
    """The best checkpoint's metrics on every held-out data set."""
    training = self.training
    program = compile_learner(training.learner, training.sampler, training.evaluation_batch_size)
    state = program.place(self.best_state())
    held_out = {split: program.place(dict(data)) for split, data in training.evaluate.items()}
    found: dict[str, dict[str, float]] = {split: {} for split in held_out}
    for name, value in evaluation(program, on_device(self.config), state, held_out).items():
      split, metric = name.split("/")
      found[split][metric] = float(value)
    return found


def open_run(folder: str | os.PathLike) -> Run:
  """Opens the run in a folder; see `Run`."""
  return Run(Path(folder))
