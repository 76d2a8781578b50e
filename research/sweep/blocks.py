"""Block tasks: some trials trained for some intervals, from files to files.

A task is a pure function of its block, and its results are written under names that depend on the
block alone. So it may run on any machine that shares the folder, twice, or again after it was
killed, with the same results.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.data.sources import own_files_in
from research.experiment_file import Loaded
from research.store.files import write_atomically
from research.store.host_state import from_host, to_host
from research.sweep.slots import Occupant, Reports, Slots, by_trial
from research.sweep.workers import OfRepeat, Report
from research.training import on_device

Keys = Sequence[tuple[np.ndarray, np.ndarray]]  # data of each repetition's keys: to begin, to order


class Segment(NamedTuple):
  """Some intervals of one trial.

  Attributes:
    trial: its number.
    config: its settings during the segment.
    keys: of its repetitions.
    step: updates made before.
    source: the file of the segment that it goes on from; None where it starts.
    path: the file that it will write.
  """

  trial: int
  config: Any
  keys: Keys
  step: int
  source: Path | None
  path: Path


class Block(NamedTuple):
  """The work of a remote worker.

  Attributes:
    file: of an experiment outside of the catalogue; first, since the others may come from it.
    training: of a trial.
    segments: of trials with one program and equal data, all of the same length.
    intervals: that length.
    lanes: how they share a program, as in `research.lanes.block_of`.
    data_on: where their data stay, one of `research.streaming.PLACES`.
    by_repeat: whether the repetitions have data of their own.
    data_dir: the folder of the user's own files of data sets, or "".
  """

  file: Loaded
  training: OfRepeat
  segments: tuple[Segment, ...]
  intervals: int
  lanes: str
  data_on: str
  by_repeat: bool
  data_dir: str

  def is_done(self) -> bool:
    """Tells whether every result is there."""
    return all(segment.path.exists() for segment in self.segments)


def train(block: Block) -> None:
  """Trains the trials of a block, and writes for each its reports and its states."""
  if block.is_done():
    return
  first = block.segments[0]
  repeats = range(len(first.keys))
  groups = [[repeat] for repeat in repeats] if block.by_repeat else [repeats]
  with own_files_in(block.data_dir):
    programs = [_in_slots(block, some) for some in groups]
  reports = [_interval(programs) for _ in range(block.intervals)]
  for segment in block.segments:
    own = [report[segment.trial] for report in reports]
    states = [state for slots in programs for state in slots.leave(segment.trial)]
    arrays = {
      f"{repeat}/{name}": array
      for repeat, state in enumerate(states)
      for name, array in to_host(state).items()
    }
    file = io.BytesIO()
    np.savez(file, reports=np.array(json.dumps(own)), **arrays)  # type: ignore[arg-type]
    segment.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(segment.path, file.getvalue())


def _in_slots(block: Block, repeats: Sequence[int]) -> Slots:
  """Puts some repetitions of all trials, which share their data, into slots."""
  first = block.segments[0]
  slots = Slots(
    block.training(first.config, repeats[0]),
    first.config,
    len(repeats) * len(block.segments),
    block.lanes,
    _key(first.keys[0][0]),
    repeats[0],
    block.data_on,
  )
  newcomers = []
  for segment in block.segments:
    for repeat in repeats:
      init_key, order_key = map(_key, segment.keys[repeat])
      occupant = Occupant(segment.trial, repeat, segment.config, order_key, segment.step)
      if segment.source is None:
        newcomers.append((occupant, init_key))
      else:
        slots.resume(occupant, _read_state(segment.source, repeat, slots))
  if newcomers:
    slots.enter(newcomers)
  return slots


def _interval(programs: Sequence[Slots]) -> dict[int, Report]:
  reports: Reports = {}
  for slots in programs:
    reports |= slots.advance()
  return by_trial(reports)


def read_reports(path: Path) -> list[Report]:
  """Reads a segment's reports: for each interval, metrics with a value for every repetition."""
  with np.load(path) as file:
    reports: list[Report] = json.loads(str(file["reports"]))
  return reports


def _read_state(path: Path, repeat: int, slots: Slots) -> Any:
  settings = on_device(slots.config)
  template = jax.eval_shape(slots.training.learner.init, settings, jax.random.key(0))
  with np.load(path) as file:
    prefix = f"{repeat}/"
    arrays = {n.removeprefix(prefix): file[n] for n in file.files if n.startswith(prefix)}
  return from_host(arrays, template)


def _key(data: np.ndarray) -> jax.Array:
  return jax.random.wrap_key_data(jnp.asarray(data))
