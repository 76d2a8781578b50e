"""The lab: where an experiment's fits are made once and remembered on disk."""

import functools
import math
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research import free_memory
from research.config import flatten
from research.errors import InterruptedRun, UserError
from research.lab.compiled_training import machine_for_many, machine_for_one
from research.lab.loop import Machine, Start, run_fit
from research.lab.run_folder import FORK
from research.lanes import lane, reserve, stack
from research.store import checkpoint
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.files import write_atomically
from research.store.interruption import Interruption
from research.store.metrics_log import MetricsLog, read_rows
from research.sweep import plan as planning
from research.sweep.local import Sweep
from research.sweep.local import run as run_sweep
from research.sweep.plan import Swept
from research.sweep.remote import RemoteSweep
from research.sweep.slots import intervals_of, metrics_of, seats_of_this_device
from research.sweep.space import Space
from research.sweep.study import Study
from research.sweep.trainings import Trainings, has_equal_data
from research.training import ALONE, Fit, Member, Options, Training, fingerprint, on_device

WEIGHTS = ("params/", "variables/", "target_params/")  # of a state: all that is learnt


def warn(line: str) -> None:
  """One line to the person at the terminal."""
  print(f"warning: {line}", file=sys.stderr, flush=True)


class Lab:
  """Hands out durable fits inside one run folder, whose lock the caller holds.

  `has_trained` tells whether anything was added to the folder.
  """

  def __init__(
    self,
    folder: Path,
    *,
    seed: int,
    options: Options,
    interruption: Interruption | None = None,
    init_from: Path | None = None,
  ):
    """Opens the folder's logs.

    Args:
      folder: of the run; it exists.
      seed: of all randomness of the run.
      options: how to run.
      interruption: asked between dispatches; by default nothing interrupts.
      init_from: a run's folder, with whose weights the fits of the same names begin.
    """
    self.folder = folder
    self.seed = seed
    self._options = options
    self._interruption = interruption or Interruption(())
    self._init_from = init_from
    self._log = MetricsLog(folder)
    self._end = (0, 0)  # offset and checksum of metrics.jsonl behind the fits so far
    self._asked: dict[str, dict[str, Any]] = {}
    self.has_trained = False

  def key(self, name: str) -> jax.Array:
    """A key of its own for every name, from the run's seed."""
    return named_key(self.seed, name)

  def keep(self, name: str, content: str) -> None:
    """Writes a file that tells what the fits learn from, such as a vocabulary; once.

    Raises UserError where the file is there and tells something else.
    """
    path = self.folder / name
    if not path.exists():
      write_atomically(path, content)
    elif path.read_text("utf-8") != content:
      raise UserError(
        f"{path} does not fit what is to be learnt: the data changed since the run began; "
        "bring back the old data, or give --fresh to start over"
      )

  def fit(
    self,
    name: str,
    config: Any,
    training: Training,
    *,
    schedule: Sequence[tuple[int, Any]] = (),
  ) -> Fit:
    """Trains once; asked again, also by a later process, it returns what was stored or continues.

    Args:
      name: of the fit; it becomes a folder's.
      config: its settings.
      training: what they make.
      schedule: the settings that train it instead, as (first step, config) from step 0 on, the last
        one being `config`; they differ in traced fields and change between evaluations.

    Raises:
      ValueError: when the name is no file name, or was used for a fit with other settings.
      UserError: when a checkpoint of that name is of another network.
      DivergedError, DiskFullError, InterruptedRun: as `run_fit`.
    """
    init_key, order_key = jax.random.split(self.key(name))
    begin = schedule[0][1] if schedule else config
    initial = functools.partial(jax.jit(training.learner.init), on_device(begin), init_key)
    batch = training.sampler.batch_size * sum(
      math.prod(array.shape[1:]) * array.dtype.itemsize for array in training.data.values()
    )
    sets = [training.data, *training.evaluate.values()]
    free_memory.refuse_beyond_room(
      f"fit {name!r}",
      free_memory.bytes_of(jax.eval_shape(initial)),
      "give smaller sizes or a smaller --batch_size",
      besides=batch + sum(array.nbytes for data in sets for array in data.values()),
    )
    state = self._trained(
      name,
      [Member(ALONE, 0, config)],
      training,
      initial,
      lambda: machine_for_one(config, training, order_key, self._options, schedule),
    )
    first = functools.partial(self._first_state, name, initial)
    return Fit(name, config, state, read_rows(self.folder, name), first)

  def compare(
    self,
    name: str,
    configs: Mapping[str, Any],
    training: Callable[[Any, int], Training],
    *,
    repeats: int = 1,
  ) -> dict[str, list[Fit]]:
    """Trains every config `repeats` times, side by side; what comes out is as of `fit`.

    Configs that differ in traced fields only, and whose trainings use the same data, are lanes of
    one program. All members' n-th repetitions start from the same key and see the same batches, so
    that they differ by their settings alone; the data are those of the run's seed. A member whose
    loss is not finite goes on.

    Returns:
      For each name in `configs`, a fit for each repetition.

    Raises:
      What `fit` raises, except for divergence.
    """
    keys = [
      jax.random.split(jax.random.fold_in(self.key(name), number)) for number in range(repeats)
    ]
    fits: dict[str, list[Fit]] = {}
    for number, (group, shared) in enumerate(
      by_program(configs, lambda config: training(config, self.seed))
    ):
      fits |= self._population(f"{name}.{number}", group, shared, keys)
    return {member: fits[member] for member in configs}

  def sweep(
    self,
    name: str,
    space: Space,
    training: Callable[[Any, int], Training],
    settings: planning.Settings,
    *,
    seed: int | None = None,
  ) -> Swept:
    """Searches a space; finished, it returns what the study holds, interrupted, it goes on.

    A trial's repetition n is the fit "train" of a run with the seed n higher than this run's, so
    that its config, given as flags, makes the same fit again.

    Args:
      name: of the study's file and of its checkpoints.
      space: what is searched.
      training: of a trial's config and a repetition's seed; trials whose data differ, by a field
        or by the seed, are trained apart.
      settings: how it is searched.
      seed: of the search and of its trials; by default the run's.

    Raises:
      UserError: for settings that make no sense, or where the study in the folder is another one.
      DiskFullError, InterruptedRun.
    """
    seed = self.seed if seed is None else seed
    of_repeat = functools.partial(_of_repeat, training, seed)
    first = of_repeat(space.config, 0)
    check_labels(first, space.config)
    planning.check_objective(settings.objective, metrics_of(first, space.config))
    settings = settings._replace(seats=settings.seats or seats_of_this_device())
    plan = planning.make(space, settings, seed, intervals_of(first))
    trainings = Trainings(of_repeat, space)
    trainings.check(settings.stopper)
    for note in planning.notes(plan, settings):
      warn(note)
    folder, path = self.folder / "checkpoints" / name, self.folder / f"{name}.sqlite"
    study = Study(
      path,
      plan.settings._asdict() | {"space": str(space), "seed": seed},
      may_grow=planning.may_grow(settings.sampler, settings.stopper, settings.rounds),
    )
    plan = plan._replace(settings=plan.settings._replace(seats=study.seats))
    keys = lambda repeat: tuple(jax.random.split(named_key(seed + repeat, "train")))
    opened: list[Checkpoints] = []

    def checkpoints() -> Checkpoints:
      if not opened:
        opened.append(Checkpoints(folder, warn=warn))
      return opened[0]

    for step in checkpoint.steps(folder):
      if step > study.count:  # the end of the study was lost, so it goes on from further back
        checkpoint.set_aside(folder, step, "ahead")
    with ExitStack() as leaving:
      leaving.callback(study.close)
      leaving.callback(self._note_reports, study)
      leaving.callback(self._close, opened)
      if self._options.engine == "local":
        sweep = Sweep(plan, study, trainings, keys, self._options)
      else:
        blocks = (self.folder / "blocks" / name).absolute()
        sweep = RemoteSweep(plan, study, of_repeat, trainings, keys, self._options, blocks)
      with self._interruption.asked():
        trials = run_sweep(
          sweep,
          plan,
          name=name,
          there_was=checkpoint.exists(folder),
          checkpoints=checkpoints,
          save_seconds=self._options.save_seconds,
          interruption=self._interruption,
        )
    return Swept(plan, trials)

  def _close(self, opened: list[Checkpoints]) -> None:
    with self._interruption.saving():
      for checkpoints in opened:
        checkpoints.close()

  def _note_reports(self, study: Study) -> None:
    self.has_trained |= any(event.kind == "reported" for event in study.events())

  def _population(
    self, name: str, configs: Mapping[str, Any], training: Training, keys: list[jax.Array]
  ) -> dict[str, list[Fit]]:
    members = [
      Member(member, number, config)
      for member, config in configs.items()
      for number in range(len(keys))
    ]
    reserve(training.learner, members[0].config, len(members))
    init = jax.jit(training.learner.init)
    initials = [functools.partial(init, on_device(m.config), keys[m.repeat][0]) for m in members]
    machine = lambda: machine_for_many(
      members, training, [keys[member.repeat][1] for member in members], self._options
    )
    states = self._trained(
      name, members, training, lambda: stack([initial() for initial in initials]), machine
    )
    rows = read_rows(self.folder, name)
    fits: dict[str, list[Fit]] = {member: [] for member in configs}
    for number, (member, initial) in enumerate(zip(members, initials, strict=True)):
      history = [row for row in rows if row.items() >= member.labels.items()]
      fits[member.name].append(Fit(name, member.config, lane(states, number), history, initial))
    return fits

  def _first_state(self, name: str, initial: Callable[[], Any]) -> Any:
    return _with_weights(initial(), self._init_from, name) if self._init_from else initial()

  def _refuse_idle_fork(self, name: str) -> None:
    """Refuses a fork whose first fit finds nothing to go on from."""
    fits = {path.parent.name for path in self.folder.glob("checkpoints/*/*") if path.name.isdigit()}
    if (self.folder / FORK).exists() and fits and not fits & set(self._asked):
      raise UserError(
        f"--fork has no fit {name!r} to go on from (it has {', '.join(sorted(fits))}); "
        "fork a run of the same experiment, or leave --fork out"
      )

  def _trained(
    self,
    name: str,
    members: Sequence[Member],
    training: Training,
    initial: Callable[[], Any],
    machine: Callable[[], Machine],
  ) -> Any:
    """The last state, on the host: stored, or continued from a checkpoint, or made."""
    if not re.fullmatch(r"\w[-\w .=+]*", name):
      raise ValueError(f"the name of a fit becomes a folder's, so not {name!r}")
    settings = {
      "steps of training": training.steps,
      "members": [(*member[:2], flatten(member.config)) for member in members],
    }
    if self._asked.setdefault(name, settings) != settings:
      raise ValueError(f"two fits with different settings are named {name!r}: one would be lost")
    folder = self.folder / "checkpoints" / name
    opened: list[Checkpoints] = []

    def checkpoints() -> Checkpoints:
      if not opened:
        opened.append(Checkpoints(folder, warn=warn))
      return opened[0]

    with ExitStack() as leaving:
      leaving.callback(self._log.close)
      leaving.callback(self._close, opened)
      there_was = checkpoint.exists(folder)
      snapshot = checkpoints().latest() if there_was else None
      end, is_finished, mark = self._end, False, fingerprint(members, training)
      if snapshot is None or not snapshot.about["finished"]:
        check_labels(training, members[0].config)
      if snapshot is None:
        if there_was:
          warn(f"{name}: no checkpoint is whole: starting from the beginning")
        self._refuse_idle_fork(name)
        start = Start(0, self._first_state(name, initial), {}, None, mark)
      else:
        state = _restored(name, snapshot, jax.eval_shape(initial))
        about = snapshot.about
        start = Start(snapshot.step, state, about["pending"], about["best_score"], mark)
        end = about["offset"], about["log_checksum"]
        is_finished, is_same_task = _compared(name, snapshot, mark)
        if not is_same_task:
          start = start._replace(best_score=None)
          checkpoints().forget_scores()
      state = start.state
      if is_finished:
        self._log.check(*end)
        self._end = max(self._end, end)  # asked twice, it must not lead back before later fits
      else:
        if self._interruption.signal_number:  # it came before there was anything of this fit
          raise InterruptedRun(
            self._interruption.signal_number,
            f"interrupted before fit {name!r}; give the same command to resume",
          )
        # Rows behind this fit's are written again, so the fits that they belong to are made again.
        for later in self._log.fits_behind(end[0]) - {name}:
          checkpoint.set_all_aside(self.folder / "checkpoints" / later, "behind")
        self._log.seek(*end)
        self.has_trained = True
        if snapshot is not None:
          print(f"{name}: resuming at step {snapshot.step:,}", file=sys.stderr, flush=True)
        bound = machine()
        with self._interruption.asked():
          state = run_fit(
            name,
            members,
            training,
            bound,
            start,
            options=self._options,
            checkpoints=checkpoints,
            log=self._log,
            interruption=self._interruption,
          )
        self._end = self._log.offset, self._log.checksum
    return jax.device_get(state)


def named_key(seed: int, name: str) -> jax.Array:
  """A key of its own for every name."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def _of_repeat(
  training: Callable[[Any, int], Training], seed: int, config: Any, repeat: int
) -> Training:
  return training(config, seed + repeat)


def check_labels(training: Training, config: Any) -> None:
  """Raises UserError where a label is none of the network's outputs; looks on the host alone."""
  classes = training.learner.classes(config) if training.learner.classes else {}
  for field, count in classes.items():
    for name, data in {"train": training.data, **training.evaluate}.items():
      labels = np.asarray(data.get(field, ()))
      if labels.dtype.kind in "iu" and ((labels < 0) | (labels >= count)).any():
        place = np.argwhere((labels < 0) | (labels >= count))[0]
        raise UserError(
          f"{field} {labels[tuple(place)]} of example {place[0]} of the {name} set is none of the "
          f"network's {count} outputs, which stand for 0 to {count - 1}; number from 0, or give "
          "the network more outputs"
        )


def by_program(
  configs: Mapping[str, Any], training: Callable[[Any], Training]
) -> list[tuple[dict[str, Any], Training]]:
  """The configs in groups that can be lanes of one program, each with its training."""
  groups: list[tuple[dict[str, Any], Training]] = []
  for name, config in configs.items():
    own = training(config)
    for group, shared in groups:
      first = next(iter(group.values()))
      is_same_program = jax.tree.structure(first) == jax.tree.structure(config)  # type: ignore[operator]
      if is_same_program and _is_equal(own, shared):
        group[name] = config
        break
    else:
      groups.append(({name: config}, own))
  return groups


def _is_equal(a: Training, b: Training) -> bool:
  without_data = lambda training: training._replace(data=None, evaluate=None)
  return without_data(a) == without_data(b) and has_equal_data(a, b)


def _compared(name: str, snapshot: Snapshot, now: Mapping[str, Any]) -> tuple[bool, bool]:
  """Compares a checkpoint with the fit that is to go on from it, by their fingerprints.

  Returns:
    Whether the checkpoint is the end of this very fit; whether it had the same data and ranking.

  Raises:
    UserError: where it has other settings, and none of the steps that they ask for is left.
  """
  before = snapshot.about.get("fingerprint", now)  # older checkpoints have none
  is_end = snapshot.about["finished"] and snapshot.step == now["steps"]
  is_finished = is_end and before["settings"] == now["settings"]
  if snapshot.step >= now["steps"] and not is_finished:
    raise UserError(
      f"the checkpoint of fit {name!r} is at step {snapshot.step:,} already, and with these "
      f"settings it ends at {now['steps']:,}: nothing would be trained; ask for more steps, or "
      "begin with its weights alone (--init_from in place of --fork)"
    )
  if before["steps"] != now["steps"]:
    was, is_now = (snapshot.step / each["steps"] for each in (before, now))
    warn(f"{name}: schedules go on at {is_now:.0%} of their length, and were at {was:.0%}")
  return is_finished, before["task"] == now["task"]


def _with_weights(state: Any, source: Path, name: str) -> Any:
  """The state with the weights of another run's best checkpoint of that fit.

  Raises:
    UserError: where there is no such checkpoint, or its weights have other names or shapes.
  """
  arrays = checkpoint.to_host(state)
  wanted = [each for each in arrays if each.startswith(WEIGHTS)]
  held = Checkpoints.held(source / "checkpoints" / name, warn=warn)
  if held is None or not wanted:
    raise UserError(f"--init_from={source} has no weights of a fit {name!r}; give a run that has")
  for each in wanted:
    found = held.arrays.get(each)
    if found is None or found.shape != arrays[each].shape:
      there = "is not there" if found is None else f"has the shape {found.shape} there"
      raise UserError(
        f"--init_from={source}: {each} {there}, and {arrays[each].shape} is needed; "
        "give settings of the same network"
      )
    arrays[each] = found.astype(arrays[each].dtype)
  return checkpoint.from_host(arrays, jax.eval_shape(lambda: state))


def _restored(name: str, snapshot: Snapshot, template: Any) -> Any:
  try:
    return checkpoint.from_host(snapshot.arrays, template)
  except ValueError as error:
    raise UserError(
      f"the checkpoint of fit {name!r} does not fit this config: {error}; change only settings "
      "that keep the network's shape and the optimizer, or start without --fork"
    ) from error
