"""The workers of a sweep on this machine: lanes of compiled programs, one program per shape."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from research.config import flatten, from_json
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.host_state import from_host, to_host
from research.sweep.plan import Plan
from research.sweep.slots import Occupant, Reports, Slots, by_trial
from research.sweep.trainings import Trainings
from research.sweep.workers import Keys, Report
from research.training import Options, on_device


class ProgramAbout(NamedTuple):
  """The slots of one program as a checkpoint's file names them.

  Attributes:
    config: of one of the program's trials, flat.
    repeat: a repetition whose data they are.
    seats: the occupant of each slot as [trial, repeat, step]; None where it is free.
  """

  config: dict[str, Any]
  repeat: int
  seats: list[list[int] | None]


class About(NamedTuple):
  """The part of a sweep's checkpoint that is not states, as its file names it.

  Attributes:
    crews: of each program, a `ProgramAbout` as a dictionary.
    kept: "trial.repeat" of the paused trials' states.
  """

  crews: list[dict[str, Any]]
  kept: list[str]


class LocalWorkers:
  """Trains trials here, and keeps their states in checkpoints."""

  def __init__(
    self, plan: Plan, trainings: Trainings, keys: Keys, options: Options, checkpoints: Checkpoints
  ):
    """Compiles nothing before a trial starts.

    Args:
      plan: of the sweep.
      trainings: of its trials.
      keys: of a repetition.
      options: how lanes share a program.
      checkpoints: of the sweep.
    """
    self._space, self._slots = plan.space, plan.settings.slots
    self._trainings, self._keys, self._options = trainings, keys, options
    self._checkpoints = checkpoints
    self._snapshot: Snapshot | None = None
    self._programs: dict[Any, Slots] = {}
    self._kept: dict[str, Any] = {}  # states of paused trials, by "trial.repeat"

  def restart_from(self, settled: int) -> int:
    """Looks for the last checkpoint; one without trials on their way is not needed."""
    snapshot = self._checkpoints.latest()
    self._snapshot = snapshot if snapshot and snapshot.step > settled else None
    return self._snapshot.step if self._snapshot else settled

  def restore(self, config_of: Callable[[int], Any]) -> None:
    """Puts the checkpoint's trials back into their slots."""
    snapshot, self._snapshot = self._snapshot, None
    if snapshot is None:
      return
    about = About(**snapshot.about)
    programs = [ProgramAbout(**each) for each in about.crews]
    for program in programs:
      self._program(from_json(self._space.config, program.config), program.repeat)
    states = [jax.eval_shape(lambda states: states, each.states) for each in self._slots_in_order()]
    kept = {}
    for name in about.kept:
      number, repeat = map(int, name.split("."))
      config = config_of(number)
      learner = self._trainings.of(config, repeat).learner
      kept[name] = jax.eval_shape(learner.init, on_device(config), self._keys(0)[0])
    restored = from_host(snapshot.arrays, {"crews": states, "kept": kept})
    self._kept = restored["kept"]
    for slots, program, states in zip(
      self._slots_in_order(), programs, restored["crews"], strict=True
    ):
      occupants = [
        self._occupant(seat[0], seat[1], config_of(seat[0]), seat[2]) if seat else None
        for seat in program.seats
      ]
      slots.restore(occupants, states)

  def save(self, events: int) -> None:
    """Starts to save a checkpoint of all states."""
    states = [slots.states for slots in self._slots_in_order()]
    programs = [
      ProgramAbout(
        flatten(slots.config),
        slots.repeat,
        [each and [each.trial, each.repeat, each.step] for each in slots.occupants],
      )
      for slots in self._slots_in_order()
    ]
    about = About([program._asdict() for program in programs], list(self._kept))
    arrays = to_host({"crews": states, "kept": self._kept})
    self._checkpoints.save(Snapshot(events, arrays, about._asdict()))

  def enter(self, newcomers: Mapping[int, Any]) -> None:
    """Starts trials, given as {number: config}."""
    by_program: dict[int, list[tuple[Occupant, jax.Array]]] = {}
    for trial, config in newcomers.items():
      for repeat in range(self._space.repeats):
        entries = by_program.setdefault(id(self._program(config, repeat)), [])
        entries.append((self._occupant(trial, repeat, config, 0), self._keys(repeat)[0]))
    for slots in self._slots_in_order():
      if id(slots) in by_program:
        slots.enter(by_program[id(slots)])

  def resume(self, trial: int, config: Any, intervals: int) -> None:
    """Puts a paused trial back into slots, with the states that were kept."""
    step = intervals * self._trainings.of(config, 0).evaluate_every
    for repeat in range(self._space.repeats):
      state = self._kept.pop(f"{trial}.{repeat}")
      self._program(config, repeat).resume(self._occupant(trial, repeat, config, step), state)

  def pause(self, trial: int) -> None:
    """Frees the trial's slots and keeps its states."""
    states = [state for slots in self._slots_in_order() for state in slots.leave(trial)]
    self._kept |= {f"{trial}.{repeat}": state for repeat, state in enumerate(states)}

  def dismiss(self, trial: int) -> None:
    """Frees the trial's slots and forgets its states."""
    for slots in self._slots_in_order():
      slots.dismiss(trial)

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Gives trials the states of others; repetitions with data of their own copy apart."""
    for slots in self._slots_in_order():
      slots.copy(copies)

  def advance(self) -> dict[int, Report]:
    """Trains every trial in a slot for one interval; returns its metrics, by trial."""
    reports: Reports = {}
    for slots in self._slots_in_order():
      if any(slots.occupants):
        reports |= slots.advance()
    return by_trial(reports)

  def _slots_in_order(self) -> list[Slots]:
    """The slots of all programs, in the order in which these came to be."""
    return list(self._programs.values())

  def _program(self, config: Any, repeat: int) -> Slots:
    key = self._trainings.key(config, repeat)
    if key not in self._programs:
      repeats_elsewhere = self._space.repeats if self._trainings.by_repeat else 1
      self._programs[key] = Slots(
        self._trainings.of(config, repeat),
        config,
        self._slots // repeats_elsewhere,
        self._options.lanes,
        self._keys(0)[0],
        repeat,
        self._options.data_on,
      )
    return self._programs[key]

  def _occupant(self, trial: int, repeat: int, config: Any, step: int) -> Occupant:
    return Occupant(trial, repeat, config, self._keys(repeat)[1], step)
