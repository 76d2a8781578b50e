"""The one training loop: from a state at some step to the state at the last step.

The order of operations in the loop is fixed: dispatch, read the metrics of the dispatch before,
and at the edges of an interval write the row, evaluate, save, and answer a signal. A fresh start
and a resume are the same code.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.config import fields, show
from research.errors import DivergedError, InterruptedRun
from research.learner import State
from research.store.checkpoint import Checkpoints, Snapshot, to_host
from research.store.interruption import Interruption
from research.store.metrics_log import MetricsLog, Row
from research.store.progress import Progress
from research.training import ALONE, Member, Options, Training, larger_is_better


class Start(NamedTuple):
  """The state in which a fit begins: a checkpoint's, or that of step 0.

  Attributes:
    step: updates made before.
    state: on the host.
    pending: the metrics of the interval that is not written yet.
    best_score: that a checkpoint has had so far.
    fingerprint: of the fit, as in `research.training.fingerprint`.
  """

  step: int
  state: State
  pending: dict[str, list[Any]]
  best_score: float | None
  fingerprint: Mapping[str, Any]


class Machine(NamedTuple):
  """A training compiled and bound to its settings, data and order of batches.

  Attributes:
    place: puts a host state where the program wants it.
    fetch: the state as it was before `place`: without the lanes that fill up the program.
    steps: (count, state, first) -> (state, metrics); a metric is [count], or [lanes, count].
    evaluate: state -> values by "split/metric"; a value is a number, or [lanes].
    dispatch: steps per dispatch, by the rule.
  """

  place: Callable[[State], State]
  fetch: Callable[[State], State]
  steps: Callable[[int, State, int], tuple[State, Any]]
  evaluate: Callable[[State], dict[str, np.ndarray]]
  dispatch: int


class Record:
  """Writes a fit's rows and checkpoints, and its line on the terminal."""

  def __init__(
    self,
    name: str,
    members: Sequence[Member],
    training: Training,
    start: Start,
    *,
    dispatch: int,
    options: Options,
    checkpoints: Callable[[], Checkpoints],
    log: MetricsLog,
  ):
    self._name, self._members, self._training = name, members, training
    self._is_alone = members[0].name == ALONE
    self._options, self._checkpoints, self._log = options, checkpoints, log
    self._dispatch = dispatch
    self._pending, self._best_score = start.pending, start.best_score
    self._score: float | None = None
    self._has_new_best = False
    self._fingerprint = start.fingerprint
    self._progress = Progress(name, training.steps)
    self._row_at = self._saved_at = time.monotonic()
    self._saved_step = start.step
    self._stops_on_nan = options.stop_on_nan and self._is_alone  # a member's end is a finding

  def read(self, step: int, metrics: Any, state: State) -> None:
    """Waits for the dispatch that ended at `step` and adds its metrics to the interval's.

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
    timing = {"seconds": now - self._row_at, "steps_per_dispatch": self._dispatch}
    for number, member in enumerate(self._members):
      row: Row = {"fit": self._name, "step": step} | ({} if self._is_alone else member.labels)
      for name, values in (means | dict(evaluation)).items():
        row[name] = float(np.atleast_1d(values)[number])
      self._log.append(row, timing)
    self._row_at = now
    score = row.get(self._training.best or "") if self._is_alone else None
    if step and score is not None and math.isfinite(score):  # nothing is ever saved at step 0
      score = score if larger_is_better(self._training, str(self._training.best)) else -score
      if self._best_score is None or score > self._best_score:  # so that of equal ones the first is
        self._score = self._best_score = score
        self._has_new_best = True

  def is_save_due(self) -> bool:
    """Tells whether the last checkpoint is old, or the best score so far was just seen."""
    is_old = time.monotonic() - self._saved_at >= self._options.save_seconds
    return is_old or self._has_new_best

  def save(self, step: int, state: State, *, finished: bool) -> None:
    """Starts to save; nothing that is not finite is ever saved, unless it is wanted."""
    arrays = to_host(state)
    if self._stops_on_nan and not all(_is_finite(array) for array in arrays.values()):
      raise self._diverged("a parameter is not finite", step, state)
    about = {
      "finished": finished,
      "offset": self._log.sync(),
      "log_checksum": self._log.checksum,
      "pending": self._pending,
      "best_score": self._best_score,
      "fingerprint": self._fingerprint,
    }
    self._checkpoints().save(Snapshot(step, arrays, about), score=self._score)
    self._has_new_best, self._saved_at, self._saved_step = False, time.monotonic(), step

  def close(self) -> None:
    """Waits for what is still being saved."""
    self._progress.finish()
    if self._saved_step:
      self._checkpoints().wait()

  def _diverged(self, what: str, step: int, state: State) -> DivergedError:
    kept = (
      f"the checkpoint of step {self._saved_step} is kept" if self._saved_step else "none saved"
    )
    return DivergedError(
      f"{what} at step {step} of fit {self._name!r} ({kept}); {self._advice(state)}, "
      "or --on_nan=continue to go on regardless"
    )

  def _advice(self, state: State) -> str:
    """What to mend: the inputs where they are not finite, else the step size."""
    for name, array in self._training.data.items():
      if not _is_finite(array):
        place = np.argwhere(~np.isfinite(array))[0]
        return f"{name} of training example {place[0]} is {array[tuple(place)]}: mend the data"
    blame = self._training.learner.blame
    if blame and (cause := blame(state)):
      return f"{cause}: mend the environment"
    rates = [
      field for field in fields(self._members[0].config) if field.name.endswith("learning_rate")
    ]
    advice = f"--{rates[0].name} (now {show(rates[0].value)})" if rates else "step size"
    return f"try a smaller {advice}"


def run_fit(
  name: str,
  members: Sequence[Member],
  training: Training,
  machine: Machine,
  start: Start,
  *,
  options: Options,
  checkpoints: Callable[[], Checkpoints],
  log: MetricsLog,
  interruption: Interruption,
) -> State:
  """Trains from `start` to the last step, leaving rows and checkpoints; returns the last state.

  Raises:
    DivergedError: when a loss is not finite and `options.stop_on_nan`; a population goes on.
    InterruptedRun: after a signal, once everything is saved.
  """
  state = machine.place(start.state)
  dispatch = options.dispatch or machine.dispatch
  record = Record(
    name,
    members,
    training,
    start,
    dispatch=dispatch,
    options=options,
    checkpoints=checkpoints,
    log=log,
  )
  step = start.step
  in_flight: tuple[int, Any] | None = None
  try:
    if step == 0:
      record.write_rows(0, machine.evaluate(state))
    while step < training.steps:
      inside = step % training.log_every  # chunks start anew with every row, so that none is missed
      count = min(dispatch - inside % dispatch, training.log_every - inside, training.steps - step)
      state, metrics = machine.steps(count, state, step)
      step += count
      if in_flight:
        record.read(*in_flight, state)
      in_flight = (step, metrics)
      is_last = step == training.steps
      is_row_due = step % training.log_every == 0 or is_last
      stop = interruption.signal_number
      if not (is_row_due or stop or record.is_save_due()):
        continue
      record.read(*in_flight, state)
      in_flight = None
      if is_row_due:
        is_evaluated = step % training.evaluate_every == 0 or is_last
        record.write_rows(step, machine.evaluate(state) if is_evaluated else {})
      if is_last or stop or record.is_save_due():
        with interruption.saving():
          record.save(step, machine.fetch(state), finished=is_last)
      if stop and not is_last:
        raise InterruptedRun(
          stop,
          f"interrupted and saved at step {step} of fit {name!r}; give the same command to resume",
        )
  finally:
    with interruption.saving():
      record.close()
  return machine.fetch(state)


def _is_finite(array: np.ndarray) -> bool:
  return not jnp.issubdtype(array.dtype, jnp.floating) or bool(np.isfinite(array).all())
