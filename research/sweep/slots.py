"""The lanes of one program, and which trials sit in them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.compile import step_work, steps_per_call
from research.lanes import block_of, compile_population, lane, reserve, stack
from research.learner import State
from research.metrics import averages
from research.training import Training, on_device

SEATS = {"cpu": 8}  # lanes that train at once; an accelerator has room for more
SEATS_ELSEWHERE = 128
Reports = dict[tuple[int, int], dict[str, float]]  # by (trial, repeat), by metric


class Seat(NamedTuple):
  """The occupant of a lane.

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


class Crew:
  """As many lanes as there are seats, for trials that differ in traced fields only.

  Attributes:
    training: of all its trials.
    config: of one of them.
    repeat: a repetition whose data they are.
    seats: who sits in each lane; None where nobody does.
    states: of all lanes, stacked.
  """

  def __init__(
    self,
    training: Training,
    config: Any,
    seats: int,
    lanes: str,
    key: jax.Array,
    repeat: int = 0,
  ):
    """Compiles nothing yet.

    Args:
      training: of all its trials.
      config: of one of them.
      seats: lanes that are needed.
      lanes: "auto", "vmap", "map" or how many a block holds.
      key: any key, for the states in lanes where nobody sits.
      repeat: a repetition that the training is of.

    Raises:
      UserError: where there is no room for so many.
    """
    self.training, self.config, self.repeat = training, config, repeat
    settings = on_device(config)
    reserve(training.learner, settings, seats)
    work = step_work(training.learner, training.sampler, settings, training.data)
    self._program = compile_population(
      training.learner,
      training.sampler,
      training.evaluation_batch_size,
      seats,
      block_of(lanes, work, seats),
    )
    width = self._program.width
    self.seats: list[Seat | None] = [None] * width
    self._nobody = Seat(-1, 0, config, key, 0)
    self._data = self._program.share(dict(training.data))
    self._held_out = {
      split: self._program.share(dict(arrays)) for split, arrays in training.evaluate.items()
    }
    self._dispatch = steps_per_call(work * seats, training.evaluate_every)
    self._take_seats()
    empty = self._place(np.zeros(width, bool))
    self.states = self._program.init(empty, self._configs, self._keys)
    self._merge = jax.jit(_merged)

  def enter(self, newcomers: Sequence[tuple[Seat, jax.Array]]) -> None:
    """Gives each newcomer a free lane, with the state that its config and key begin with."""
    free = [number for number, seat in enumerate(self.seats) if seat is None]
    init_keys, is_new = [self._nobody.order_key] * len(self.seats), np.zeros(len(self.seats), bool)
    for number, (seat, init_key) in zip(free, newcomers, strict=False):
      self.seats[number], init_keys[number], is_new[number] = seat, init_key, True
    self._take_seats()
    mask = self._place(is_new)
    fresh = self._program.init(mask, self._configs, self._place(jnp.stack(init_keys)))
    self.states = self._place(self._merge(mask, fresh, self.states))

  def enter_again(self, seat: Seat, state: State) -> None:
    """Gives a lane to one who goes on from a state."""
    number = self.seats.index(None)
    self.seats[number] = seat
    self._take_seats()
    put = lambda leaf, new: leaf.at[number].set(new)
    self.states = self._place(jax.tree.map(put, self.states, state))

  def leave(self, trial: int) -> list[State]:
    """Frees a trial's lanes; returns its states, in the order of the repetitions."""
    numbers = self._lanes_of(trial)
    states = [jax.device_get(lane(self.states, number)) for number in numbers]
    for number in numbers:
      self.seats[number] = None
    return states

  def dismiss(self, trial: int) -> None:
    """Frees a trial's lanes; its states are forgotten."""
    for number in self._lanes_of(trial):
      self.seats[number] = None

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Trials take over the states of others, as they are before any of them does.

    Args:
      copies: for each such trial, whose states, and its new config.
    """
    origin = np.arange(len(self.seats))
    for to, (source, config) in copies.items():
      for own, other in zip(self._lanes_of(to), self._lanes_of(source), strict=True):
        seat = self.seats[own]
        assert seat is not None
        origin[own], self.seats[own] = other, seat._replace(config=config)
    self._take_seats()
    self.states = self._place(jax.tree.map(lambda leaf: leaf[origin], self.states))

  def restore(self, seats: Sequence[Seat | None], states: State) -> None:
    """Goes on from a checkpoint."""
    self.seats, self.states = list(seats), self._place(states)
    self._take_seats()

  def advance(self) -> Reports:
    """One interval of all who sit: for each trial's repetition, its metrics."""
    training = self.training
    every, steps = training.evaluate_every, training.steps
    left = np.array([min(every, steps - seat.step) if seat else 0 for seat in self.seats])
    sums: dict[str, np.ndarray] = {}
    for count in sorted(set(left.tolist()) - {0}):
      active = left == count
      parts = self._steps(active, count)
      for metric, values in parts.items():
        whole = sums.setdefault(metric, np.zeros(len(self.seats)))
        whole[active] = values[active]
    sitting = self._place(left > 0)
    found = {
      split: self._program.evaluate(sitting, self._configs, self.states, arrays)
      for split, arrays in self._held_out.items()
    }
    with np.errstate(invalid="ignore"):  # an empty lane is zero over zero
      means = {f"train/{name}": each for name, each in sums.items()} | averages(
        jax.device_get(found)
      )
    reports: Reports = {}
    for number in np.flatnonzero(left):
      seat = self.seats[number]
      assert seat is not None
      self.seats[number] = seat._replace(step=seat.step + int(left[number]))
      own = {name: float(each[number]) for name, each in means.items()}
      reports[seat.trial, seat.repeat] = own
    return reports

  def _steps(self, active: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """`count` updates of the active lanes; the mean of each metric, [width]."""
    mask, collected, done = self._place(active), list[Any](), 0
    steps = np.array([seat.step if seat else 0 for seat in self.seats], np.int32)
    while done < count:
      chunk = min(self._dispatch, count - done)
      self.states, metrics = self._program.steps(
        chunk, mask, self._configs, self.states, self._data, self._keys, steps + done
      )
      collected.append(metrics)
      done += chunk
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *jax.device_get(collected))
    return {metric: np.mean(values, axis=1, dtype=float) for metric, values in whole.items()}

  def _lanes_of(self, trial: int) -> list[int]:
    own = [(seat, number) for number, seat in enumerate(self.seats) if seat and seat.trial == trial]
    return [number for _, number in sorted(own, key=lambda pair: pair[0].repeat)]

  def _take_seats(self) -> None:
    """Settings and keys of the lanes, after the seats changed."""
    everyone = [seat or self._nobody for seat in self.seats]
    self._configs = self._place(stack([on_device(seat.config) for seat in everyone]))
    self._keys = self._place(stack([seat.order_key for seat in everyone]))

  def _place(self, tree: Any) -> Any:
    return self._program.place(tree)


def _merged(mask: Any, new: State, old: State) -> State:
  choose = lambda a, b: jnp.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
  return jax.tree.map(choose, new, old)


def by_trial(reports: Reports) -> dict[int, dict[str, list[float]]]:
  """For each trial, metrics with a value for every repetition."""
  found: dict[int, dict[str, list[float]]] = {}
  for trial, repeat in sorted(reports):
    report = found.setdefault(trial, {})
    for name, value in reports[trial, repeat].items():
      report.setdefault(name, []).append(value)
  return found


def seats_of_this_device() -> int:
  """Returns the default number of trials that train at once."""
  return SEATS.get(jax.default_backend(), SEATS_ELSEWHERE)


def intervals_of(training: Training) -> int:
  """Evaluations of a training that runs to its end, the one at the start not counted."""
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
