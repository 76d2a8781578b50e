"""The lab: where an experiment's fits are made once and remembered on disk."""

import functools
import sys
import zlib
from pathlib import Path
from typing import Any

import jax

from research.errors import UserError
from research.lab import checkpoint
from research.lab.checkpoint import Checkpoints, Snapshot
from research.lab.fit import Fit, Options, Start, Training, on_device, run_fit
from research.lab.interruption import Interruption
from research.lab.metrics_log import MetricsLog, read_rows


def warn(line: str) -> None:
  """One line to the person at the terminal."""
  print(f"warning: {line}", file=sys.stderr, flush=True)


class Lab:
  """Hands out durable fits inside one run folder, whose lock the caller holds."""

  def __init__(
    self, folder: Path, *, seed: int, options: Options, interruption: Interruption | None = None
  ):
    """Opens the folder's logs.

    Args:
      folder: of the run; it exists.
      seed: of all randomness of the run.
      options: how to run.
      interruption: asked between dispatches; by default nothing interrupts.
    """
    self.folder = folder
    self.seed = seed
    self._options = options
    self._interruption = interruption or Interruption()
    self._log = MetricsLog(folder)
    self._offset = 0

  def key(self, name: str) -> jax.Array:
    """A key of its own for every name, from the run's seed."""
    return jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(name.encode()))

  def fit(self, name: str, config: Any, training: Training) -> Fit:
    """Trains once; asked again, also by a later process, it returns what was stored or continues.

    Raises:
      UserError: when a checkpoint of that name is of another network.
      DivergedError, DiskFullError, InterruptedRun: as `run_fit`.
    """
    init_key, order_key = jax.random.split(self.key(name))
    folder = self.folder / "checkpoints" / name
    opened: list[Checkpoints] = []

    def checkpoints() -> Checkpoints:
      if not opened:
        opened.append(Checkpoints(folder, warn=warn))
      return opened[0]

    initial = functools.partial(jax.jit(training.learner.init), on_device(config), init_key)
    try:
      snapshot = checkpoints().latest() if checkpoint.exists(folder) else None
      if snapshot is None:
        start = Start(0, initial(), {}, None)
        self._log.seek(self._offset)
      else:
        state = _restored(name, snapshot, jax.eval_shape(initial))
        about = snapshot.about
        start = Start(snapshot.step, state, about["pending"], about["best_score"])
        if snapshot.step < training.steps or not about["finished"]:
          print(f"{name}: resuming at step {snapshot.step:,}", file=sys.stderr, flush=True)
          self._log.seek(about["offset"])
      state = start.state
      if snapshot is None or not (snapshot.about["finished"] and snapshot.step >= training.steps):
        state = run_fit(
          name,
          config,
          training,
          order_key,
          start,
          options=self._options,
          checkpoints=checkpoints,
          log=self._log,
          interruption=self._interruption,
        )
        self._offset = self._log.offset
      else:
        self._offset = snapshot.about["offset"]
    finally:
      self._log.close()
      for manager in opened:
        manager.close()
    return Fit(name, config, jax.device_get(state), read_rows(self.folder, name), initial)


def _restored(name: str, snapshot: Snapshot, template: Any) -> Any:
  try:
    return checkpoint.from_host(snapshot.arrays, template)
  except ValueError as error:
    raise UserError(
      f"the checkpoint of fit {name!r} does not fit this config: {error}; change only settings "
      "that keep the network's shape, or start without --fork"
    ) from error
