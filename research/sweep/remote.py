"""The sweep on many machines: this process decides and keeps the study, others train blocks.

Nothing but files passes between them, in a folder that all share. The coordinator's checkpoint are
these files: when it was killed it decides everything again, in no time, since the blocks are done.
Trials, decisions and rows are those of `research.sweep.local`.
"""

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
from research.store.checkpoint import Checkpoints
from research.sweep import plan as planning
from research.sweep.blocks import Block, Stretch, read_reports, train
from research.sweep.local import Keys, Sweep
from research.sweep.plan import Plan
from research.sweep.search import package
from research.sweep.slots import Seat
from research.sweep.study import Study, fold
from research.sweep.trainings import OfRepeat, Trainings
from research.training import Options

EXTRA = "-e '.[cluster]'"
ATTEMPTS = 4  # of a block whose worker dies
ROOT = Path(__file__).parents[2]

Engine = Callable[[Sequence[Block]], None]  # returns when all are done


class Fleet:
  """Trials on many machines; to the sweep it is a `Crew` with room for any trial."""

  def __init__(
    self,
    plan: Plan,
    training: OfRepeat,
    trainings: Trainings,
    keys: Keys,
    options: Options,
    engine: Engine,
    folder: Path,
  ):
    """Starts nothing.

    Args:
      plan: of the sweep.
      training: of a trial, for the workers.
      trainings: the same, as this process has made them.
      keys: of a repetition.
      options: how lanes share a program, and how many workers there are.
      engine: trains blocks.
      folder: of the results, on a disk that all machines share.
    """
    self._plan, self._training, self._keys = plan, training, keys
    self._trainings = trainings
    self._options, self._engine, self._folder = options, engine, folder
    self.seats: list[Seat | None] = [None] * plan.settings.seats
    self._sources: dict[int, Path | None] = {}  # where each trial's states are
    self._waiting: dict[int, list[dict[str, list[float]]]] = {}  # reports not yet handed out

  def enter(self, newcomers: Sequence[tuple[Seat, jax.Array]]) -> None:
    """Gives seats to trials that start."""
    for seat, _ in newcomers:
      self._sit(seat, None)

  def enter_again(self, seat: Seat, state: Path | None) -> None:
    """Gives a seat to a trial that goes on."""
    self._sit(seat, state)

  def _sit(self, seat: Seat, source: Path | None) -> None:
    self.seats[self.seats.index(None)] = seat
    self._sources[seat.trial], self._waiting[seat.trial] = source, []

  def leave(self, trial: int) -> list[Path | None]:
    """Frees a trial's seats; returns where its states are, for each repetition."""
    self.dismiss(trial)
    return [self._sources[trial]] * self._plan.space.repeats

  def dismiss(self, trial: int) -> None:
    """Frees a trial's seats."""
    self.seats = [None if seat and seat.trial == trial else seat for seat in self.seats]

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Trials take over the states of others, and get new configs."""
    before = dict(self._sources)
    for to, (source, config) in copies.items():
      self._sources[to] = before[source]
      self.seats = [
        seat._replace(config=config) if seat and seat.trial == to else seat for seat in self.seats
      ]

  def advance(self) -> dict[int, dict[str, list[float]]]:
    """One interval of all who sit; whoever has no report left is sent to train until judged."""
    sitting = {seat.trial: seat for seat in self.seats if seat}
    self._send([seat for trial, seat in sitting.items() if not self._waiting[trial]])
    step = lambda seat: seat.step + self._every(seat)
    self.seats = [seat and seat._replace(step=step(seat)) for seat in self.seats]
    return {trial: self._waiting[trial].pop(0) for trial in sorted(sitting)}

  def _send(self, seats: Sequence[Seat]) -> None:
    groups: dict[Any, list[Seat]] = {}
    for seat in sorted(seats, key=lambda seat: seat.trial):
      key = self._trainings.key(seat.config, 0), self._length(seat)
      groups.setdefault(key, []).append(seat)
    blocks = []
    for (_, intervals), members in groups.items():
      size = math.ceil(len(members) / max(1, self._options.workers // len(groups)))
      for start in range(0, len(members), size):
        stretches = tuple(self._stretch(seat, intervals) for seat in members[start : start + size])
        by_repeat = self._trainings.by_repeat
        how = self._options.lanes, by_repeat, self._options.data_dir
        blocks.append(Block(self._training, stretches, intervals, *how))
    self._engine([block for block in blocks if not block.is_done()])
    for block in blocks:
      for stretch in block.stretches:
        self._sources[stretch.trial] = stretch.path
        self._waiting[stretch.trial] = read_reports(stretch.path)

  def _length(self, seat: Seat) -> int:
    done = seat.step // self._every(seat)
    return planning.next_decision(self._plan, seat.trial, done) - done

  def _every(self, seat: Seat) -> int:
    return self._trainings.of(seat.config, 0).evaluate_every

  def _stretch(self, seat: Seat, intervals: int) -> Stretch:
    keys = [
      tuple(np.asarray(jax.random.key_data(key)) for key in self._keys(repeat))
      for repeat in range(self._plan.space.repeats)
    ]
    path = self._folder / f"{seat.trial}.{seat.step}.{intervals}.npz"
    return Stretch(seat.trial, seat.config, keys, seat.step, self._sources[seat.trial], path)  # type: ignore[arg-type]


class RemoteSweep(Sweep):
  """A sweep whose trials train elsewhere."""

  def __init__(
    self,
    plan: Plan,
    study: Study,
    training: OfRepeat,
    trainings: Trainings,
    keys: Keys,
    options: Options,
    folder: Path,
  ):
    super().__init__(plan, study, trainings, keys, options)
    engine = ENGINES[options.engine](options, folder)
    self._fleet = Fleet(plan, training, trainings, keys, options, engine, folder)
    self._crews = {None: self._fleet}  # type: ignore[dict-item]

  def resume(self, checkpoints: Checkpoints) -> None:
    """Decides everything again, unless the study is complete; blocks that are done stay done."""
    fold(self.trials, self._study.events())
    if not self.is_complete():
      self._study.undo(0)
      self.trials = {}

  def save(self, checkpoints: Checkpoints) -> None:
    """Nothing is left to save."""

  def _crew_for(self, config: Any, repeat: int) -> Any:
    return self._fleet

  def _reports(self) -> dict[int, dict[str, list[float]]]:
    return self._fleet.advance()


def _by_ray(options: Options, folder: Path) -> Engine:
  """Core tasks of Ray, on the cluster of RAY_ADDRESS or on this machine."""
  ray = package("ray", "--engine=ray", EXTRA)
  variables = {n: v for n, v in os.environ.items() if n.startswith(("JAX_", "LINEAGE_"))}
  on_cluster = "RAY_ADDRESS" in os.environ
  if not ray.is_initialized():
    ray.init(
      num_cpus=None if on_cluster else options.workers,
      include_dashboard=False,
      log_to_driver=False,
      logging_level=logging.ERROR,
      runtime_env={"env_vars": variables | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"}},
    )
  task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(train)

  def engine(blocks: Sequence[Block]) -> None:
    ray.get([task.remote(block) for block in blocks])

  return engine


def _by_slurm(options: Options, folder: Path) -> Engine:
  """SLURM job arrays through submitit; where there is no SLURM, processes of this machine."""
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
        with _environment(JAX_NUM_CPU_DEVICES="1", PYTHONPATH=str(ROOT)):
          jobs = executor.map_array(train, some)
        for job in jobs:
          job.exception()  # waits; what counts is whether the files are there
      left = [block for block in left if not block.is_done()]
      if not left:
        return
    raise UserError(
      f"the block of trial {left[0].stretches[0].trial} failed {ATTEMPTS} times; its logs are in "
      f"{folder / 'jobs'}; the same command goes on from here"
    )

  return engine


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
