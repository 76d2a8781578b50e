"""Values that training shares with sweeps, agents and experiments."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from research.batch import row_bytes
from research.config import digest, flatten
from research.data.npy_sets import checksum
from research.data.sampling import Sampler
from research.directions import LARGER_IS_BETTER
from research.errors import UserError
from research.learner import Config, Learner, State, predict_classes
from research.store.metrics_log import Row

HostData = Mapping[str, np.ndarray]


class Training(NamedTuple):
  """All that a fit is, apart from its config and seed.

  Attributes:
    learner: what learns.
    data: arrays by name, the examples along the first axis.
    sampler: how batches are drawn.
    steps: updates in all.
    evaluate: data sets by name that are evaluated as a whole.
    evaluate_every: steps between evaluations; they also happen before the first and after the last
      step.
    log_every: steps per row of training metrics, a divisor of `evaluate_every`.
    best: metric by which the best checkpoint is kept, such as "validation/accuracy".
    evaluation_batch_size: examples per evaluation batch; it bounds the memory.
    directions: whether a larger value is better, by the names of metrics that
      `research.directions.LARGER_IS_BETTER` lacks.
    class_names: by label, for figures; () where the labels are as good.
    patience: evaluations in a row without a new best, after which the training ends; 0 for never.
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
  directions: Mapping[str, bool] = MappingProxyType({})
  class_names: Sequence[str] = ()
  patience: int = 0

  @property
  def steps_per_epoch(self) -> int:
    """Batches that hold every example once; 1 for learners that make their own experience."""
    examples = len(next(iter(self.data.values()))) if self.data else 1
    return math.ceil(examples / self.sampler.batch_size)

  @property
  def batch_bytes(self) -> int:
    """Bytes of the data of one batch."""
    return self.sampler.batch_size * row_bytes(self.data)


def larger_is_better(training: Training, metric: str) -> bool:
  """Tells whether a larger value of a metric such as "validation/nats" is a better one.

  Raises:
    UserError: where neither the training nor `research.directions` says so.
  """
  name = metric.rpartition("/")[2]
  found = training.directions.get(name, LARGER_IS_BETTER.get(name))
  if found is None:
    raise UserError(
      f"nothing says whether a larger {metric} is better; give --direction=max or --direction=min"
    )
  return found


class Options(NamedTuple):
  """Execution options; results are equal up to the order of floating-point sums.

  Attributes:
    parallel: one of `research.compile.PARALLEL`.
    stop_on_nan: whether a loss that is not finite ends the run.
    save_seconds: least time between checkpoints.
    keep_every: of which number of steps the multiples' checkpoints are made and kept; 0 for none.
    data_on: "device", or "host" from where batches are streamed; "auto" leaves it to the rule in
      `research.streaming`.
    dispatch: steps per compiled call; 0 leaves it to the rule in `research.compile`.
    lanes: how the members of a population share a program: "auto" leaves it to the rule in
      `research.lanes`, "vmap", "map", or how many a block holds.
    engine: where the trials of a sweep train: "local", "ray" or "slurm".
    workers: how many blocks of them train at once, where not here.
    slurm: parameters of its jobs, as in "slurm_partition=gpu,gpus_per_node=1".
    data_dir: the folder of the user's own files of data sets, for the processes that train
      elsewhere; "" where there is none.
    file: of an experiment outside of the catalogue, for the same processes; "" where it is one of
      the catalogue.
  """

  parallel: str = "jit"
  stop_on_nan: bool = True
  save_seconds: float = 30.0
  keep_every: int = 0
  data_on: str = "auto"
  dispatch: int = 0
  lanes: str = "auto"
  engine: str = "local"
  workers: int = 4
  slurm: str = ""
  data_dir: str = ""
  file: str = ""


class Conditions(NamedTuple):
  """Conditions of all fits of a run, beside their settings; unlike `Options` part of the result.

  Attributes:
    validation: the share of its training examples that every fit without a validation set holds
      out as one, as in `research.lab.validation.with_validation`; 0 for none.
    metrics: of whole evaluation sets, by their names in `research.set_metrics.SET_METRICS`.
    patience: evaluations in a row without a new best, after which a fit ends; 0 for never.
    init_from: a run's folder, with whose weights the fits of the same names begin.
    at_step: of the checkpoint whose weights `init_from` gives, by default the best one's; or of the
      one that is forked, by default the latest.
  """

  validation: float = 0.0
  metrics: tuple[str, ...] = ()
  patience: int = 0
  init_from: Path | None = None
  at_step: int | None = None


PLAIN = Conditions()


class Fit(NamedTuple):
  """A finished fit.

  Attributes:
    name: of the fit in its run.
    config: its settings.
    state: its last state, on the host.
    history: its rows of metrics.
    initial: gives its first state again.
    training: what was trained, and for how long.
  """

  name: str
  config: Config
  state: State
  history: list[Row]
  initial: Callable[[], State]
  training: Training

  @property
  def parameters(self) -> int:
    """The number of trained parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(self.state.params))

  def last(self, metric: str) -> float:
    """The metric in the last row that has it, such as "test/accuracy"."""
    values = self.values(metric)
    return values[-1] if values else math.nan

  def values(self, metric: str) -> list[float]:
    """The metric in every row that has it."""
    return [row[metric] for row in self.history if row.get(metric) is not None]


def mean_of_last(fits: Sequence[Fit], metric: str, steps: int = 0) -> float:
  """The mean over several fits, such as the seeds of one variant, of a metric's last value.

  With `steps`, the mean over the fits and over all rows of their last so many steps.
  """
  if not steps:
    return float(np.mean([fit.last(metric) for fit in fits]))
  late = [
    row[metric]
    for fit in fits
    for row in fit.history
    if metric in row and row["step"] > fit.history[-1]["step"] - steps
  ]
  return float(np.mean(np.array(late, float)))


def answers_of(
  fit: Fit, model: nn.Module, split: str
) -> tuple[HostData, Int[np.ndarray, " examples"]]:
  """One of a fit's evaluation sets, and the class that the network gives to each of its images."""
  data = fit.training.evaluate[split]
  return data, predict_classes(model, fit.state, data, fit.training.evaluation_batch_size)


ALONE = ""


class Member(NamedTuple):
  """One of those that a population trains side by side; named `ALONE` where there is no other.

  Attributes:
    name: that the rows and figures show.
    repeat: which of the member's repetitions, each with a seed of its own.
    config: its settings.
  """

  name: str
  repeat: int
  config: Config

  @property
  def labels(self) -> Row:
    """The columns that tell the member's rows from the others'."""
    return {"member": self.name, "repeat": self.repeat}


def on_device(config: Config) -> Config:
  """The config with its leaves as arrays, so that equal configs trace equally."""
  as_array = lambda leaf: jnp.asarray(leaf, dtype=float if isinstance(leaf, float) else int)
  return jax.tree.map(as_array, config)


def fingerprint(members: Sequence[Member], training: Training) -> dict[str, Any]:
  """Returns digests that tell a fit from one with other settings or another task.

  Returns:
    steps: updates in all.
    settings: a digest of the members' configs, of the steps and of the patience.
    task: a digest of the data and of the metric that ranks checkpoints.
  """
  sets = {"train": training.data, **training.evaluate}
  checksums = {
    f"{split}/{name}": (str(array.dtype), array.shape, checksum(array))
    for split, data in sets.items()
    for name, array in data.items()
  }
  configs = [(*member[:2], flatten(member.config)) for member in members]
  patience = [training.patience] if training.patience else []
  return {
    "steps": training.steps,
    "settings": digest(configs, training.steps, *patience),
    "task": digest(training.best, checksums),
  }


class Fits(Protocol):
  """Trains by name, remembering what was trained before; `research.lab.lab.Lab` is one."""

  def fit(self, name: str, config: Config, training: Training) -> Fit:
    """Returns the finished fit of that name, training it first where that was not done yet."""
    ...

  def key(self, name: str) -> jax.Array:
    """A key of its own for every name, from the run's seed."""
    ...

  @property
  def seed(self) -> int:
    """The seed of the run."""
    ...


def fit_each(
  lab: Fits, configs: Mapping[str, Config], training: Callable[[Config, int], Training]
) -> dict[str, Fit]:
  """Trains each of the named configs at the run's seed, one after the other."""
  return {
    name: lab.fit(name, config, training(config, lab.seed)) for name, config in configs.items()
  }
