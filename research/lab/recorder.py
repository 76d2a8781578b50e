"""The traces of a fit while it trains: rows of metrics, checkpoints, a line on the terminal."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.config import fields, show
from research.errors import DivergedError
from research.learner import State
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.host_state import to_host
from research.store.metrics_log import MetricsLog, Row
from research.store.progress import Progress
from research.training import ALONE, Member, Options, Training, larger_is_better


class About(NamedTuple):
  """The part of a fit's checkpoint that is not its state, as it stands in the file.

  Attributes:
    finished: whether the fit ended there.
    offset: bytes of metrics.jsonl that belong to the checkpoint.
    log_checksum: of these bytes.
    pending: values since the last row, by metric.
    best_score: the best score so far.
    fingerprint: of the fit, as `research.training.fingerprint` gives it; old files have none.
    since_best: evaluations since the one with the best score; old files have none.
  """

  finished: bool
  offset: int
  log_checksum: int
  pending: dict[str, list[Any]]
  best_score: float | None
  fingerprint: dict[str, Any] | None = None
  since_best: int = 0


class Start(NamedTuple):
  """The point from which a fit trains: a checkpoint's, or step 0.

  Attributes:
    step: updates made.
    state: on the host.
    pending: values since the last row, by metric.
    best_score: the best score so far.
    fingerprint: of the fit, as in `research.training.fingerprint`.
    end: offset and checksum of metrics.jsonl, from where rows are written.
    since_best: evaluations since the one with the best score.
  """

  step: int
  state: State
  pending: dict[str, list[Any]]
  best_score: float | None
  fingerprint: dict[str, Any]
  end: tuple[int, int]
  since_best: int = 0


class Recorder:
  """Writes a fit's rows and checkpoints, and its line on the terminal."""

  def __init__(
    self,
    name: str,
    members: Sequence[Member],
    training: Training,
    *,
    options: Options,
    checkpoints: Checkpoints,
    log: MetricsLog,
  ):
    """Writes nothing yet.

    Args:
      name: of the fit.
      members: of the population, or the fit alone.
      training: what they share.
      options: how often to save, and whether a loss that is not finite ends the fit.
      checkpoints: of the fit.
      log: of the run, at the place where the fit's next row belongs.
    """
    self.name = name
    self._members, self._training = members, training
    self._options, self._checkpoints, self._log = options, checkpoints, log
    self._is_alone = members[0].name == ALONE
    self._stops_on_nan = options.stop_on_nan and self._is_alone  # a member's end is a finding
    self._score: float | None = None
    self._has_new_best = False

  def begin(self, start: Start, steps_per_call: int, data_on: str) -> None:
    """Starts the clocks; call it before anything else."""
    self._timed = {"steps_per_dispatch": steps_per_call, "data_on": data_on}
    self._pending, self._best_score = start.pending, start.best_score
    self._fingerprint, self._since_best = start.fingerprint, start.since_best
    self._saved_step = start.step
    self._progress = Progress(self.name, self._training.steps)
    self._row_at = self._saved_at = time.monotonic()

  def read(self, step: int, metrics: Any, state: State) -> None:
    """Waits for the call that ended at `step`, and adds its metrics to the interval's.

    `state` is the newest; where a loss is not finite it may tell why.
    """
    self._score = None
    metrics = jax.device_get(metrics)
    for metric, values in metrics.items():  # a step's value: a number, or one for every member
      self._pending.setdefault(metric, []).extend(np.moveaxis(values, -1, 0).tolist())
    losses = metrics["loss"]
    if self._stops_on_nan and not np.isfinite(losses).all():
      first = int(np.argmin(np.isfinite(losses)))
      fatal_step = step - len(losses) + 1 + first
      raise self._diverged(f"the loss became {losses[first]}", fatal_step, state)
    self._progress.update(step, float(np.mean(losses[..., -1])))

  def write_rows(self, step: int, evaluation: Mapping[str, np.ndarray]) -> None:
    """Ends an interval: the means of its training metrics, and an evaluation if there was one."""
    means = {f"train/{metric}": np.mean(v, axis=0) for metric, v in self._pending.items()}
    self._pending.clear()
    now = time.monotonic()
    timing = {"seconds": now - self._row_at, **self._timed, "of": self._training.steps}
    for number, member in enumerate(self._members):
      row: Row = {"fit": self.name, "step": step} | ({} if self._is_alone else member.labels)
      for name, values in (means | dict(evaluation)).items():
        row[name] = float(np.atleast_1d(values)[number])
      self._log.append(row, timing)
    self._row_at = now
    score = row.get(self._training.best or "") if self._is_alone else None
    if not step or score is None:  # nothing is ever saved at step 0
      return
    score = score if larger_is_better(self._training, str(self._training.best)) else -score
    self._since_best += 1
    # Not where they are equal, so that of equal ones the first is kept.
    if math.isfinite(score) and (self._best_score is None or score > self._best_score):
      self._score = self._best_score = score
      self._has_new_best, self._since_best = True, 0

  def is_out_of_patience(self) -> bool:
    """Tells whether so many evaluations in a row brought no new best that the fit is to end."""
    return 0 < self._training.patience <= self._since_best

  def is_save_due(self, step: int) -> bool:
    """Tells whether the last checkpoint is old, the best score was just seen, or this one stays."""
    is_old = time.monotonic() - self._saved_at >= self._options.save_seconds
    every = self._options.keep_every
    return is_old or self._has_new_best or (every > 0 and step % every == 0)

  def save(self, step: int, state: State, *, finished: bool) -> None:
    """Starts to save; refuses a state that is not finite, unless the fit goes on regardless."""
    arrays = to_host(state)
    if self._stops_on_nan and not all(_is_finite(array) for array in arrays.values()):
      raise self._diverged("a parameter is not finite", step, state)
    offset, checksum = self._log.sync(), self._log.checksum
    about = About(
      finished,
      offset,
      checksum,
      self._pending,
      self._best_score,
      self._fingerprint,
      self._since_best,
    )
    self._checkpoints.save(Snapshot(step, arrays, about._asdict()), score=self._score)
    self._has_new_best, self._saved_at, self._saved_step = False, time.monotonic(), step

  def close(self) -> None:
    """Waits for what is still being saved."""
    self._progress.finish()
    if self.is_out_of_patience():
      print(
        f"{self.name}: ended at step {self._saved_step:,}: {self._since_best} evaluations without "
        f"a better {self._training.best}",
        file=sys.stderr,
        flush=True,
      )
    if self._saved_step:
      self._checkpoints.wait()

  def _diverged(self, what: str, step: int, state: State) -> DivergedError:
    kept = (
      f"the checkpoint of step {self._saved_step} is kept" if self._saved_step else "none saved"
    )
    return DivergedError(
      f"{what} at step {step} of fit {self.name!r} ({kept}); {self._advice(state)}, "
      "or --on_nan=continue to go on regardless"
    )

  def _advice(self, state: State) -> str:
    """Names what to mend: the inputs where they are not finite, else the step size."""
    for name, array in self._training.data.items():
      for number, example in enumerate(array if array.dtype.kind == "f" else ()):
        if not _is_finite(example):
          value = example[~np.isfinite(example)].flat[0]
          return f"{name} of training example {number} is {value}: mend the data"
    blame = self._training.learner.blame
    if blame and (cause := blame(state)):
      return f"{cause}: mend the environment"
    rates = [
      field for field in fields(self._members[0].config) if field.name.endswith("learning_rate")
    ]
    advice = f"--{rates[0].name} (now {show(rates[0].value)})" if rates else "step size"
    return f"try a smaller {advice}"


def _is_finite(array: np.ndarray) -> bool:
  return not jnp.issubdtype(array.dtype, jnp.floating) or bool(np.isfinite(array).all())
