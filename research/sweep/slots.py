"""The slots of one compiled program: its lanes, and the trials that occupy them."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research import streaming
from research.compile import step_work, steps_per_call
from research.lanes import block_of, compile_population, lane, reserve, stack
from research.learner import State
from research.metrics import averages
from research.target_platform import target_platform
from research.training import Training, on_device

SLOTS = {"cpu": 8}  # lanes that train at once; an accelerator has room for more
SLOTS_ELSEWHERE = 128
Reports = dict[tuple[int, int], dict[str, float]]  # by (trial, repeat), by metric


class Occupant(NamedTuple):
  """One repetition of a trial, in a slot.

  Attributes:
    trial: its number.
    repeat: which of the trial's repetitions.
    config: its settings.
    order_key: of the order of its batches.
    step: updates made.
  """

  trial: int
  repeat: int
  config: Any
  order_key: jax.Array
  step: int


class Slots:
  """Lanes of one program, for trials that differ in traced fields only.

  Attributes:
    training: of all its trials.
    config: of one of them.
    repeat: a repetition whose data they are.
    occupants: of each lane; None where it is free.
    states: of all lanes, stacked.
  """

  def __init__(
    self,
    training: Training,
    config: Any,
    slots: int,
    lanes: str,
    key: jax.Array,
    repeat: int = 0,
    data_on: str = streaming.AUTO,
  ):
    """Compiles nothing yet.

    Args:
      training: of all its trials.
      config: of one of them.
      slots: lanes that are needed.
      lanes: "auto", "vmap", "map" or how many a block holds.
      key: any key, for the states in free lanes.
      repeat: a repetition that the training is of.
      data_on: one of `research.streaming.PLACES`.

    Raises:
      UserError: where there is no room for so many.
    """
    self.training, self.config, self.repeat = training, config, repeat
    settings = on_device(config)
    reserve(training.learner, settings, slots)
    work = step_work(training.learner, training.sampler, settings, training.data)
    on_host = streaming.is_on_host(training, data_on)
    self._program = compile_population(
      training.learner,
      streaming.fed(training, on_host),
      training.evaluation_batch_size,
      slots,
      block_of(lanes, work, slots),
      has_own_rows=on_host,
    )
    width = self._program.width
    self.occupants: list[Occupant | None] = [None] * width
    self._filler = Occupant(-1, 0, config, key, 0)
    self._feed = streaming.feed(
      training, self._program.place, self._program.share, on_host=on_host, has_lanes=True
    )
    size = training.batch_bytes * slots
    self._steps_per_call = steps_per_call(work * slots, training.evaluate_every, size)
    self._place_settings()
    empty = self._place(np.zeros(width, bool))
    self.states = self._program.init(empty, self._configs, self._keys)
    self._merge = jax.jit(_merged)

  def enter(self, newcomers: Sequence[tuple[Occupant, jax.Array]]) -> None:
    """Gives each newcomer a free lane, with the first state of its config and key."""
    free = [number for number, occupant in enumerate(self.occupants) if occupant is None]
    init_keys = [self._filler.order_key] * len(self.occupants)
    is_new = np.zeros(len(self.occupants), bool)
    for number, (occupant, init_key) in zip(free, newcomers, strict=False):
      self.occupants[number], init_keys[number], is_new[number] = occupant, init_key, True
    self._place_settings()
    mask = self._place(is_new)
    fresh = self._program.init(mask, self._configs, self._place(jnp.stack(init_keys)))
    self.states = self._place(self._merge(mask, fresh, self.states))

  def resume(self, occupant: Occupant, state: State) -> None:
    """Gives a free lane to one that goes on from a state."""
    number = self.occupants.index(None)
    self.occupants[number] = occupant
    self._place_settings()
    put = lambda leaf, new: leaf.at[number].set(new)
    self.states = self._place(jax.tree.map(put, self.states, state))

  def leave(self, trial: int) -> list[State]:
    """Frees a trial's lanes; returns its states, in the order of the repetitions."""
    numbers = self._lanes_of(trial)
    states = [jax.device_get(lane(self.states, number)) for number in numbers]
    for number in numbers:
      self.occupants[number] = None
    return states

  def dismiss(self, trial: int) -> None:
    """Frees a trial's lanes and forgets its states."""
    for number in self._lanes_of(trial):
      self.occupants[number] = None

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Gives trials the states of others, as they are before any of them changes.

    Args:
      copies: for each such trial, whose states it takes over, and its new config.
    """
    origin = np.arange(len(self.occupants))
    for to, (source, config) in copies.items():
      for own, other in zip(self._lanes_of(to), self._lanes_of(source), strict=True):
        occupant = self.occupants[own]
        assert occupant is not None
        origin[own], self.occupants[own] = other, occupant._replace(config=config)
    self._place_settings()
    self.states = self._place(jax.tree.map(lambda leaf: leaf[origin], self.states))

  def restore(self, occupants: Sequence[Occupant | None], states: State) -> None:
    """Goes on from a checkpoint."""
    self.occupants, self.states = list(occupants), self._place(states)
    self._place_settings()

  def advance(self) -> Reports:
    """Trains every occupied lane for one interval; returns metrics by (trial, repeat)."""
    training = self.training
    every, steps = training.evaluate_every, training.steps
    left = np.array([min(every, steps - each.step) if each else 0 for each in self.occupants])
    sums: dict[str, np.ndarray] = {}
    for count in sorted(set(left.tolist()) - {0}):
      active = left == count
      parts = self._steps(active, count)
      for metric, values in parts.items():
        whole = sums.setdefault(metric, np.zeros(len(self.occupants)))
        whole[active] = values[active]
    occupied = self._place(left > 0)
    found = self._feed.evaluate(self._program, occupied, self._configs, self.states)
    with np.errstate(invalid="ignore"):  # an empty lane is zero over zero
      means = {f"train/{name}": each for name, each in sums.items()} | averages(
        jax.device_get(found)
      )
    reports: Reports = {}
    for number in np.flatnonzero(left):
      occupant = self.occupants[number]
      assert occupant is not None
      self.occupants[number] = occupant._replace(step=occupant.step + int(left[number]))
      own = {name: float(each[number]) for name, each in means.items()}
      reports[occupant.trial, occupant.repeat] = own
    return reports

  def _steps(self, active: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Makes `count` updates of the active lanes; returns the mean of each metric, [width]."""
    mask, collected, done = self._place(active), list[Any](), 0
    steps = np.array([each.step if each else 0 for each in self.occupants], np.int32)
    while done < count:
      chunk = min(self._steps_per_call, count - done)
      call = functools.partial(self._program.steps, chunk, mask, self._configs, self.states)
      then = min(self._steps_per_call, count - done - chunk)
      self.states, metrics = self._feed.steps(call, self._keys, steps + done, chunk, then)
      collected.append(metrics)
      done += chunk
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *jax.device_get(collected))
    return {metric: np.mean(values, axis=1, dtype=float) for metric, values in whole.items()}

  def _lanes_of(self, trial: int) -> list[int]:
    own = [
      (each.repeat, lane)
      for lane, each in enumerate(self.occupants)
      if each and each.trial == trial
    ]
    return [lane for _, lane in sorted(own)]

  def _place_settings(self) -> None:
    """Places settings and keys of the lanes, after the occupants changed."""
    everyone = [occupant or self._filler for occupant in self.occupants]
    self._configs = self._place(stack([on_device(each.config) for each in everyone]))
    self._keys = self._place(stack([each.order_key for each in everyone]))

  def _place(self, tree: Any) -> Any:
    return self._program.place(tree)


def _merged(mask: Any, new: State, old: State) -> State:
  choose = lambda a, b: jnp.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
  return jax.tree.map(choose, new, old)


def by_trial(reports: Reports) -> dict[int, dict[str, list[float]]]:
  """Groups reports by trial: metrics with a value for every repetition."""
  found: dict[int, dict[str, list[float]]] = {}
  for trial, repeat in sorted(reports):
    report = found.setdefault(trial, {})
    for name, value in reports[trial, repeat].items():
      report.setdefault(name, []).append(value)
  return found


def slots_of_this_device() -> int:
  """Returns the default number of trials that train at once."""
  return SLOTS.get(target_platform(), SLOTS_ELSEWHERE)


def intervals_of(training: Training) -> int:
  """Counts the evaluations of a whole training, without the one at its start."""
  return math.ceil(training.steps / training.evaluate_every)


def metrics_of(training: Training, config: Any) -> list[str]:
  """Lists the metrics of an evaluation as "split/metric", without computing it."""
  learner = training.learner
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  return [
    f"{split}/{metric}"
    for split, arrays in training.evaluate.items()
    for metric in jax.eval_shape(learner.evaluate, config, state, dict(arrays))
  ]
