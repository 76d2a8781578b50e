"""The lab makes an experiment's fits once and remembers them on disk."""

import functools
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax

from research import free_memory, streaming
from research.config import flatten
from research.errors import InterruptedRun, UserError
from research.lab import measured, resume
from research.lab.compiled_training import compile_for_many, compile_for_one
from research.lab.groups import by_program
from research.lab.labels import check_labels
from research.lab.loop import run_fit
from research.lab.recorder import About, Recorder, Start
from research.lab.resume import Finished, Task, warn
from research.lab.validation import training_of_repeat, validated_where_it_can
from research.lanes import lane, reserve, stack
from research.store import checkpoint
from research.store.checkpoint import Checkpoints
from research.store.files import write_atomically
from research.store.interruption import Interruption
from research.store.metrics_log import MetricsLog, identity_of, read_rows
from research.sweep import plan as planning
from research.sweep.local import LocalWorkers
from research.sweep.loop import Sweep, run_sweep
from research.sweep.plan import Swept
from research.sweep.prepare import prepare
from research.sweep.remote import RemoteWorkers
from research.sweep.space import Space
from research.sweep.study import Study
from research.sweep.workers import Workers
from research.training import (
  ALONE,
  PLAIN,
  Conditions,
  Fit,
  Member,
  Options,
  Training,
  fingerprint,
  on_device,
)


class Lab:
  """Makes durable fits inside one run folder, whose lock the caller holds.

  `has_trained` tells whether anything was added to the folder.
  """

  def __init__(
    self,
    folder: Path,
    *,
    seed: int,
    options: Options,
    interruption: Interruption | None = None,
    conditions: Conditions = PLAIN,
  ):
    """Opens the folder's logs.

    Args:
      folder: of the run; it exists.
      seed: of all randomness of the run.
      options: how to run.
      interruption: asked between two calls of the compiled steps; by default nothing interrupts.
      conditions: of all its fits.
    """
    self.folder, self.seed, self._options = folder, seed, options
    self._interruption = interruption or Interruption(())
    self.conditions = conditions
    self._log = MetricsLog(folder)
    self._end = (0, 0)  # offset and checksum of metrics.jsonl behind the fits so far
    self._asked: dict[str, dict[str, Any]] = {}
    self.has_trained = False

  def key(self, name: str) -> jax.Array:
    """Returns a key of its own for every name, from the run's seed."""
    return named_key(self.seed, name)

  def keep(self, name: str, content: str) -> None:
    """Writes a file on which the fits depend, such as a vocabulary; once.

    Raises UserError where the file is there with another content.
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
    training = measured.patient(name, self.completed(training, config), self.conditions.patience)
    init_key, order_key = jax.random.split(self.key(name))
    begin = schedule[0][1] if schedule else config
    initial = functools.partial(jax.jit(training.learner.init), on_device(begin), init_key)
    free_memory.refuse_beyond_room(
      f"fit {name!r}",
      free_memory.bytes_of(jax.eval_shape(initial)),
      "give smaller sizes or a smaller --batch_size",
      besides=training.batch_bytes + streaming.bytes_on_device(training, self._options.data_on),
    )
    members = [Member(ALONE, 0, config)]
    compiled = lambda: compile_for_one(config, training, order_key, self._options, schedule)
    state = self._trained(Task(name, members, training, initial, compiled))
    first = functools.partial(self._first_state, name, initial)
    return Fit(name, config, state, read_rows(self.folder, name), first, training)

  def compare(
    self,
    name: str,
    configs: Mapping[str, Any],
    training: Callable[[Any, int], Training],
    *,
    repeats: int = 1,
  ) -> dict[str, list[Fit]]:
    """Trains every config `repeats` times, side by side; results are those of `fit`.

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
      by_program(configs, lambda config: self.completed(training(config, self.seed), config))
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
    """Searches a space; a finished search is read from its study, an interrupted one continued.

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
    training = measured.measured_by(training, self.conditions.metrics)
    of_repeat = functools.partial(training_of_repeat, training, seed, self.conditions.validation)
    first = of_repeat(space.config, 0)
    check_labels(first, space.config)
    path = self.folder / f"{name}.sqlite"
    plan, trainings, study, notes = prepare(space, settings, seed, of_repeat, first, path)
    folder = self._checkpoint_folder(name)
    for step in checkpoint.steps(folder):
      if step > study.count:  # the end of the study was lost, so it goes on from further back
        checkpoint.set_aside(folder, step, "ahead")
    checkpoints = Checkpoints(folder, warn=warn)
    keys = lambda repeat: tuple(jax.random.split(named_key(seed + repeat, "train")))
    with ExitStack() as leaving:
      leaving.callback(study.close)
      leaving.callback(self._note_reports, study)
      leaving.callback(self._close, checkpoints)
      if self._options.engine == "local":
        workers: Workers = LocalWorkers(plan, trainings, keys, self._options, checkpoints)
      else:
        blocks = (self.folder / "blocks" / name).absolute()
        workers = RemoteWorkers(plan, trainings, keys, self._options, blocks)
      for note in notes:
        warn(note)
      with self._interruption.asked():
        trials = run_sweep(
          Sweep(plan, study, workers),
          name=name,
          save_seconds=self._options.save_seconds,
          interruption=self._interruption,
        )
    return Swept(plan, trials)

  def completed(self, training: Training, config: Any) -> Training:
    """Returns the training with the validation set and the metrics that this lab adds to all."""
    validated = validated_where_it_can(training, config, self.conditions.validation, self.seed)
    return measured.measured(validated, config, self.conditions.metrics)

  def _close(self, checkpoints: Checkpoints) -> None:
    with self._interruption.saving():
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
    order_keys = [keys[member.repeat][1] for member in members]
    compiled = lambda: compile_for_many(members, training, order_keys, self._options)
    stacked = lambda: stack([initial() for initial in initials])
    states = self._trained(Task(name, members, training, stacked, compiled))
    rows = read_rows(self.folder, name)
    fits: dict[str, list[Fit]] = {member: [] for member in configs}
    for number, (member, initial) in enumerate(zip(members, initials, strict=True)):
      history = [row for row in rows if row.items() >= member.labels.items()]
      state = lane(states, number)
      fits[member.name].append(Fit(name, member.config, state, history, initial, training))
    return fits

  def _first_state(self, name: str, initial: Callable[[], Any]) -> Any:
    if self.conditions.init_from is None:
      return initial()
    return resume.with_weights(initial(), self.conditions.init_from, name, self.conditions.at_step)

  def _trained(self, task: Task) -> Any:
    """Returns the last state, on the host: stored, continued from a checkpoint, or trained."""
    self._claim_name(task)
    for member in task.members:
      owner = identity_of({"fit": task.name} | ({} if member.name == ALONE else member.labels))
      self._log.events.describe(owner, {"seed": self.seed} | flatten(member.config))
    every = self._options.keep_every
    measured.refuse_uneven(task.name, task.training, every)
    checkpoints = Checkpoints(self._checkpoint_folder(task.name), warn=warn, keep_every=every)
    with ExitStack() as leaving:
      leaving.callback(self._log.close)
      leaving.callback(self._close, checkpoints)
      found = self._resume_point(task, checkpoints)
      if isinstance(found, Finished):
        self._log.check(*found.end)
        # A fit that is asked for twice must not lead back before later ones.
        self._end = max(self._end, found.end)
        return jax.device_get(found.state)
      # Before anything is written: the step is traced here, and may be refused.
      compiled = task.compile()
      self._make_room(task.name, found)
      what = task.name, task.members, task.training
      recorder = Recorder(*what, options=self._options, checkpoints=checkpoints, log=self._log)
      with self._interruption.asked():
        state = run_fit(compiled, found, recorder, self._interruption)
      self._end = self._log.offset, self._log.checksum
    return jax.device_get(state)

  def _checkpoint_folder(self, name: str) -> Path:
    return self.folder / "checkpoints" / name

  def _claim_name(self, task: Task) -> None:
    """Raises ValueError where the fit's name is no file name, or is another fit's."""
    if not re.fullmatch(r"\w[-\w .=+]*", task.name):
      raise ValueError(f"the name of a fit becomes a folder's, so not {task.name!r}")
    settings = {
      "steps of training": task.training.steps,
      "members": [(*member[:2], flatten(member.config)) for member in task.members],
    }
    if self._asked.setdefault(task.name, settings) != settings:
      raise ValueError(
        f"two fits with different settings are named {task.name!r}: one would be lost"
      )

  def _resume_point(self, task: Task, checkpoints: Checkpoints) -> Start | Finished:
    """Finds the last whole checkpoint, or makes the first state.

    Raises:
      UserError: where the checkpoint is of another network or has nothing left to train, or a label
        is none of the network's outputs.
    """
    there_was = checkpoint.exists(self._checkpoint_folder(task.name))
    snapshot, now = checkpoints.latest(), fingerprint(task.members, task.training)
    if snapshot is None or not snapshot.about["finished"]:
      check_labels(task.training, task.members[0].config)
    if snapshot is None:
      if there_was:
        warn(f"{task.name}: no checkpoint is whole: starting from the beginning")
      resume.refuse_idle_fork(self.folder, task.name, self._asked)
      return Start(0, self._first_state(task.name, task.initial), {}, None, now, self._end)
    about = About(**snapshot.about)
    state = resume.restored(task.name, snapshot, jax.eval_shape(task.initial))
    end = about.offset, about.log_checksum
    is_finished, is_same_task = resume.compared(task.name, snapshot, now)
    if not is_same_task:
      checkpoints.forget_scores()
    if is_finished:
      return Finished(state, end)
    # The score counts as long as its checkpoint is there; a fork from an earlier step may lack it.
    best_score = checkpoint.best_score(self._checkpoint_folder(task.name))
    since_best = about.since_best if best_score == about.best_score else 0
    return Start(snapshot.step, state, about.pending, best_score, now, end, since_best)

  def _make_room(self, name: str, start: Start) -> None:
    """Removes from the run what came after the start, whose rows are written next."""
    if self._interruption.signal_number:  # it came before there was anything of this fit
      raise InterruptedRun(
        self._interruption.signal_number,
        f"interrupted before fit {name!r}; give the same command to resume",
      )
    # Rows behind this fit's are written again, so the fits that they belong to are made again.
    offset, checksum = start.end
    for later in self._log.fits_behind(offset) - {name}:
      checkpoint.set_all_aside(self._checkpoint_folder(later), "behind")
    self._log.seek(offset, checksum)
    self.has_trained = True
    if start.step:
      print(f"{name}: resuming at step {start.step:,}", file=sys.stderr, flush=True)


def named_key(seed: int, name: str) -> jax.Array:
  """Returns a key of its own for every name."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
