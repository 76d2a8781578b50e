"""The one training loop: from a state at some step to the state at the last step.

The order of operations in the loop is fixed: dispatch, read the metrics of the dispatch before, and at
the edges of an interval write the row, evaluate, save, and answer a signal. A fresh start and a resume are
the same code.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from research.compile import Program, compile_learner, steps_per_dispatch
from research.config import fields, show
from research.data.sampling import Sampler
from research.errors import DivergedError, InterruptedRun
from research.lab.checkpoint import Checkpoints, Snapshot, to_host
from research.lab.interruption import Interruption
from research.lab.metrics_log import MetricsLog, Row
from research.lab.progress import Progress
from research.learner import Config, Learner, State

HostData = Mapping[str, np.ndarray]


class Training(NamedTuple):
  """All that a fit is, apart from its config and seed.

  Attributes:
    learner: what learns.
    data: arrays by name, the examples along the first axis.
    sampler: how batches are drawn.
    steps: updates in all.
    evaluate: data sets by name that are evaluated as a whole.
    evaluate_every: steps between evaluations; they also happen before the first and after the last step.
    log_every: steps per row of training metrics, a divisor of `evaluate_every`.
    best: metric by which the best checkpoint is kept, such as "validation/accuracy"; higher is better
      unless it is a loss.
    evaluation_batch_size: examples per evaluation batch; it bounds the memory.
  """

  learner: Learner
  data: HostData
  sampler: Sampler
  steps: int
  evaluate: Mapping[str, HostData]
  evaluate_every: int
  log_every: int
  best: str | None = None
  evaluation_batch_size: int = 1000


class Options(NamedTuple):
  """How to run; nothing here changes what comes out, beyond the order of sums.

  Attributes:
    parallel: one of `research.compile.PARALLEL`.
    stop_on_nan: whether a loss that is not finite ends the run.
    save_seconds: least time between checkpoints.
    dispatch: steps per dispatch; 0 leaves it to the rule in `research.compile`.
  """

  parallel: str = "jit"
  stop_on_nan: bool = True
  save_seconds: float = 30.0
  dispatch: int = 0


class Fit(NamedTuple):
  """A finished fit: its config, its last state on the host, and its rows of metrics."""

  name: str
  config: Config
  state: State
  history: list[Row]

  def last(self, metric: str) -> float:
    """The metric in the last row that has it, such as "test/accuracy"."""
    values = [row[metric] for row in self.history if row.get(metric) is not None]
    return values[-1] if values else math.nan


class Start(NamedTuple):
  """Where a fit begins: at a checkpoint, or at step 0."""

  step: int
  state: State
  pending: dict[str, list[float]]
  best_score: float | None


def on_device(config: Config) -> Config:
  """The config with its leaves as arrays, so that equal configs trace equally."""
  as_array = lambda leaf: jnp.asarray(leaf, dtype=float if isinstance(leaf, float) else int)
  return jax.tree.map(as_array, config)


def run_fit(
  name: str,
  config: Config,
  training: Training,
  order_key: Key[Array, ""],
  start: Start,
  *,
  options: Options,
  checkpoints: Callable[[], Checkpoints],
  log: MetricsLog,
  interruption: Interruption,
) -> State:
  """Trains from `start` to the last step, leaving rows and checkpoints; returns the last state.

  Raises:
    DivergedError: when a loss is not finite and `options.stop_on_nan`.
    InterruptedRun: after a signal, once everything is saved.
  """
  program = compile_learner(
    training.learner, training.sampler, training.evaluation_batch_size, options.parallel
  )
  settings = program.place(on_device(config))
  state = program.place(start.state)
  data = program.place(dict(training.data))
  held_out = {split: program.place(dict(arrays)) for split, arrays in training.evaluate.items()}
  dispatch = options.dispatch or steps_per_dispatch(
    training.learner, training.sampler, settings, state, data, training.log_every
  )
  step, pending, best_score = start.step, start.pending, start.best_score
  progress = Progress(name, step, training.steps)
  saved_at = row_at = time.monotonic()
  saved_step = step
  in_flight: tuple[int, Any] | None = None

  def read(flight: tuple[int, Any] | None) -> None:
    """Waits for a dispatch and adds its metrics to the interval's."""
    if flight is None:
      return
    last_step, metrics = flight[0], jax.device_get(flight[1])
    for metric, values in metrics.items():
      pending.setdefault(metric, []).extend(float(value) for value in values)
    losses = metrics["loss"]
    if options.stop_on_nan and not np.all(np.isfinite(losses)):
      first_bad = last_step - len(losses) + 1 + int(np.argmin(np.isfinite(losses)))
      raise _diverged(name, config, f"the loss became {losses[~np.isfinite(losses)][0]}", first_bad)
    progress.update(last_step, float(losses[-1]))

  def save(score: float | None = None, *, finished: bool = False) -> None:
    arrays = to_host(state)
    if options.stop_on_nan and not all(_is_finite(array) for array in arrays.values()):
      raise _diverged(name, config, "a parameter is not finite", step)
    about = {
      "finished": finished,
      "offset": log.sync(),
      "pending": pending,
      "best_score": best_score,
    }
    checkpoints().save(Snapshot(step, arrays, about), score=score)

  try:
    if step == 0:
      row: Row = {"fit": name, "step": 0}
      log.append(row | _evaluation(program, settings, state, held_out), 0.0)
    while step < training.steps:
      count = min(dispatch - step % dispatch, training.steps - step)
      state, metrics = program.steps(count, settings, state, data, order_key, np.int32(step))
      step += count
      read(in_flight)
      in_flight = (step, metrics)
      is_last = step == training.steps
      wants_row = step % training.log_every == 0 or is_last
      wants_evaluation = step % training.evaluate_every == 0 or is_last
      now = time.monotonic()
      wants_save = now - saved_at >= options.save_seconds or interruption.signal_number is not None
      if not (wants_row or wants_save):
        continue
      read(in_flight)
      in_flight = None
      score = None
      if wants_row:
        row = {"fit": name, "step": step}
        row |= {f"train/{metric}": float(np.mean(values)) for metric, values in pending.items()}
        pending.clear()
        if wants_evaluation:
          row |= _evaluation(program, settings, state, held_out)
          score = _score(row, training.best)
        log.append(row, now - row_at)
        row_at = now
      is_best = score is not None and (best_score is None or score > best_score)
      if is_best:
        best_score = score
      if is_best or is_last or wants_save:
        save(score, finished=is_last)
        saved_at, saved_step = time.monotonic(), step
      if interruption.signal_number is not None and not is_last:
        checkpoints().wait()
        raise InterruptedRun(
          interruption.signal_number,
          f"interrupted and saved at step {step} of fit {name!r}; give the same command to resume",
        )
    checkpoints().wait()
  except DivergedError as error:
    if saved_step:
      checkpoints().wait()
    kept = f"the last good checkpoint, step {saved_step}, is kept" if saved_step else "nothing good was saved yet"
    raise DivergedError(f"{error}; {kept}") from None
  finally:
    progress.finish()
  return state


def _evaluation(
  program: Program, config: Config, state: State, held_out: Mapping[str, Any]
) -> dict[str, float]:
  """Metrics by "split/metric" over whole data sets."""
  dispatched = {split: program.evaluate(config, state, data) for split, data in held_out.items()}
  return {
    f"{split}/{metric}": float(mean.total) / float(mean.weight)
    for split, means in dispatched.items()
    for metric, mean in means.items()
  }


def _score(row: Row, best: str | None) -> float | None:
  if best is None or not math.isfinite(row[best]):
    return None
  return -row[best] if best.endswith("loss") else row[best]


def _is_finite(array: np.ndarray) -> bool:
  return not jnp.issubdtype(array.dtype, jnp.floating) or bool(np.isfinite(array).all())


def _diverged(name: str, config: Config, what: str, step: int) -> DivergedError:
  rates = [
    f"--{field.name} (now {show(field.value)})"
    for field in fields(config)
    if field.name.endswith("learning_rate")
  ]
  advice = f"try a smaller {rates[0]}" if rates else "try a smaller step size"
  return DivergedError(
    f"{what} at step {step} of fit {name!r}: {advice}, or --on_nan=continue to go on regardless"
  )
