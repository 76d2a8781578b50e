"""The workers of a sweep on many machines: this process decides and keeps the study.

Others train blocks, and exchange files in a folder that all machines share. These files are also
the coordinator's checkpoint: after a kill it decides everything again, in no time, since the blocks
are done. Trials, decisions and rows are those of `research.sweep.local`.
"""

import dataclasses
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research.errors import UserError
from research.experiment_file import Loaded
from research.sweep import plan as planning
from research.sweep.blocks import Block, Segment, read_reports, train
from research.sweep.plan import Plan
from research.sweep.search import package
from research.sweep.trainings import Trainings
from research.sweep.workers import Keys, Report
from research.training import Options

EXTRA = "-e '.[cluster]'"
ATTEMPTS = 4  # of a block whose worker dies
ROOT = Path(__file__).parents[2]

Engine = Callable[[Sequence[Block]], None]  # returns when all are done


@dataclasses.dataclass
class RemoteTrial:
  """A trial in slots elsewhere.

  Attributes:
    config: its settings.
    intervals: that were handed out.
    source: the file with its states; None where it starts.
    waiting: reports of intervals that are trained and not yet handed out.
  """

  config: Any
  intervals: int
  source: Path | None
  waiting: list[Report]


class RemoteWorkers:
  """Trains trials on many machines; their states are files, so that there is nothing to save."""

  def __init__(self, plan: Plan, trainings: Trainings, keys: Keys, options: Options, folder: Path):
    """Starts nothing.

    Args:
      plan: of the sweep.
      trainings: of its trials.
      keys: of a repetition.
      options: how lanes share a program, which engine trains, and how many workers there are.
      folder: of the results, on a disk that all machines share.
    """
    self._plan, self._trainings, self._keys = plan, trainings, keys
    self._options, self._folder = options, folder
    self._engine = ENGINES[options.engine](options, folder)
    self._trials: dict[int, RemoteTrial] = {}
    self._paused: dict[int, Path | None] = {}  # the file with each trial's states

  def restart_from(self, settled: int) -> int:
    """Keeps no event: all is decided anew, in no time, since the blocks are done."""
    del settled
    return 0

  def restore(self, config_of: Callable[[int], Any]) -> None:
    """Has nothing to take up: no event was kept."""

  def save(self, events: int) -> None:
    """Has nothing to keep: the blocks are files already."""

  def enter(self, newcomers: Mapping[int, Any]) -> None:
    """Starts trials, given as {number: config}."""
    for trial, config in newcomers.items():
      self._trials[trial] = RemoteTrial(config, 0, None, [])

  def resume(self, trial: int, config: Any, intervals: int) -> None:
    """Goes on with a paused trial, of which so many intervals are done."""
    self._trials[trial] = RemoteTrial(config, intervals, self._paused.pop(trial), [])

  def pause(self, trial: int) -> None:
    """Frees the trial's slots and remembers the file with its states."""
    self._paused[trial] = self._trials.pop(trial).source

  def dismiss(self, trial: int) -> None:
    """Frees the trial's slots."""
    del self._trials[trial]

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Gives trials the states of others, all as they are before any of them changes."""
    before = {number: trial.source for number, trial in self._trials.items()}
    for to, (source, config) in copies.items():
      self._trials[to].source, self._trials[to].config = before[source], config

  def advance(self) -> dict[int, Report]:
    """Hands out one interval of every trial; those without a report left train until judged."""
    trials = dict(sorted(self._trials.items()))
    self._train({number: trial for number, trial in trials.items() if not trial.waiting})
    for trial in trials.values():
      trial.intervals += 1
    return {number: trial.waiting.pop(0) for number, trial in trials.items()}

  def _train(self, trials: Mapping[int, RemoteTrial]) -> None:
    groups: dict[Any, list[Segment]] = {}
    for number, trial in trials.items():
      until = planning.next_decision(self._plan, number, trial.intervals)
      key = self._trainings.key(trial.config, 0), until - trial.intervals
      groups.setdefault(key, []).append(self._segment(number, trial, until - trial.intervals))
    blocks = []
    file = Loaded(self._options.file)
    options = self._options
    how = options.lanes, options.data_on, self._trainings.by_repeat, options.data_dir
    for (_, intervals), segments in groups.items():
      size = math.ceil(len(segments) / max(1, self._options.workers // len(groups)))
      for start in range(0, len(segments), size):
        some = tuple(segments[start : start + size])
        blocks.append(Block(file, self._trainings.training, some, intervals, *how))
    self._engine([block for block in blocks if not block.is_done()])
    for block in blocks:
      for segment in block.segments:
        trial = trials[segment.trial]
        trial.source, trial.waiting = segment.path, read_reports(segment.path)

  def _segment(self, number: int, trial: RemoteTrial, intervals: int) -> Segment:
    keys = [
      tuple(np.asarray(jax.random.key_data(key)) for key in self._keys(repeat))
      for repeat in range(self._plan.space.repeats)
    ]
    step = trial.intervals * self._trainings.of(trial.config, 0).evaluate_every
    path = self._folder / f"{number}.{step}.{intervals}.npz"
    return Segment(number, trial.config, keys, step, trial.source, path)  # type: ignore[arg-type]


def _by_ray(options: Options, folder: Path) -> Engine:
  """Makes an engine of Ray's core tasks, on the cluster of RAY_ADDRESS or on this machine."""
  ray = package("ray", "--engine=ray", EXTRA)
  variables = {n: v for n, v in os.environ.items() if n.startswith(("JAX_", "LINEAGE_"))}
  on_cluster = "RAY_ADDRESS" in os.environ
  if not ray.is_initialized():
    ray.init(
      num_cpus=None if on_cluster else options.workers,
      include_dashboard=False,
      log_to_driver=False,
      logging_level=logging.ERROR,
      runtime_env={
        "env_vars": variables | {"PYTHONPATH": _python_path(), "JAX_NUM_CPU_DEVICES": "1"}
      },
    )
  task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(train)

  def engine(blocks: Sequence[Block]) -> None:
    ray.get([task.remote(block) for block in blocks])

  return engine


def _by_slurm(options: Options, folder: Path) -> Engine:
  """Makes an engine of SLURM job arrays by submitit; without SLURM, of local processes."""
  submitit = package("submitit", "--engine=slurm", EXTRA)
  wanted = dict(part.partition("=")[::2] for part in options.slurm.split(",") if part)
  is_slurm = shutil.which("srun") is not None
  executor = submitit.AutoExecutor(folder / "jobs", cluster="slurm" if is_slurm else "local")
  try:
    executor.update_parameters(**{"name": "lineage", "timeout_min": 60} | _numbers(wanted))
    if is_slurm:
      executor.update_parameters(slurm_array_parallelism=options.workers)
  except (AssertionError, NameError) as error:  # submitit's words for a wrong value, or name
    raise UserError(f"--slurm={options.slurm}: {error}") from error

  def engine(blocks: Sequence[Block]) -> None:
    left = list(blocks)
    for _ in range(ATTEMPTS):
      at_once = len(left) if is_slurm else options.workers  # SLURM itself keeps to the number
      for start in range(0, len(left), max(at_once, 1)):
        some = left[start : start + at_once]
        with _environment(JAX_NUM_CPU_DEVICES="1", PYTHONPATH=_python_path()):
          jobs = executor.map_array(train, some)
        for job in jobs:
          job.exception()  # waits; success shows in the files
      left = [block for block in left if not block.is_done()]
      if not left:
        return
    raise UserError(
      f"the block of trial {left[0].segments[0].trial} failed {ATTEMPTS} times; its logs are in "
      f"{folder / 'jobs'}; the same command goes on from here"
    )

  return engine


def _python_path() -> str:
  """The workers' path of modules: this repository, and where this process was told to look."""
  return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _numbers(wanted: Mapping[str, str]) -> dict[str, str | int]:
  return {name: int(value) if value.isdigit() else value for name, value in wanted.items()}


@contextmanager
def _environment(**changes: str) -> Iterator[None]:
  before = dict(os.environ)
  os.environ.update(changes)
  try:
    yield
  finally:
    os.environ.clear()
    os.environ.update(before)


ENGINES: dict[str, Callable[[Options, Path], Engine]] = {"ray": _by_ray, "slurm": _by_slurm}
