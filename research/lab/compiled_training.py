"""A training compiled and bound to its data: alone, or as a population of lanes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Key

from research import streaming
from research.compile import compile_learner, step_work, steps_per_call
from research.lanes import block_of, compile_population, first, pad, stack
from research.learner import Config, State
from research.metrics import averages
from research.training import Member, Options, Training, on_device


class CompiledTraining(NamedTuple):
  """A training compiled and bound to its settings, data and order of batches.

  Attributes:
    training: what was compiled.
    place: puts a host state where the program wants it.
    fetch: the state as it was before `place`: without the lanes that fill up the program.
    steps: (count, state, first) -> (state, metrics); a metric is [count], or [lanes, count].
    evaluate: state -> values by "split/metric"; a value is a number, or [lanes].
    steps_per_call: how many steps a call of `steps` takes.
    data_on: "device", or "host" where batches are streamed from there.
  """

  training: Training
  place: Callable[[State], State]
  fetch: Callable[[State], State]
  steps: Callable[[int, State, int], tuple[State, Any]]
  evaluate: Callable[[State], dict[str, np.ndarray]]
  steps_per_call: int
  data_on: str


def compile_for_one(
  config: Config,
  training: Training,
  order_key: Key[Array, ""],
  options: Options,
  schedule: Sequence[tuple[int, Config]] = (),
) -> CompiledTraining:
  """The training of one config, or of those in a schedule, each from its first step on.

  The first steps rise from 0 and are multiples of `log_every`; the configs differ in traced fields.
  """
  on_host = streaming.is_on_host(training, options.data_on)
  program = compile_learner(
    training.learner,
    streaming.fed(training, on_host),
    training.evaluation_batch_size,
    options.parallel,
  )
  settings = program.place(on_device(config))
  placed = {begin: program.place(on_device(each)) for begin, each in schedule} or {0: settings}
  feed = streaming.feed(training, program.place, program.place, on_host=on_host)
  work = step_work(training.learner, training.sampler, settings, training.data)
  per_call = options.dispatch or _steps_per_call(training, work)

  def steps(count: int, state: State, first: int) -> tuple[State, Any]:
    now = placed[max(begin for begin in placed if begin <= first)]
    call = lambda data, key, first: program.steps(count, now, state, data, key, first)
    then = length_of_call(training, per_call, first + count)
    return feed.steps(call, order_key, np.int32(first), count, then)

  return CompiledTraining(
    training,
    program.place,
    lambda state: state,
    steps,
    lambda state: averages(feed.evaluate(program, settings, state)),
    per_call,
    _place(on_host),
  )


def compile_for_many(
  members: Sequence[Member],
  training: Training,
  order_keys: Sequence[Key[Array, ""]],
  options: Options,
) -> CompiledTraining:
  """The training of several configs that share their static fields, as lanes of one program."""
  on_host = streaming.is_on_host(training, options.data_on)
  configs = [on_device(member.config) for member in members]
  work = step_work(training.learner, training.sampler, configs[0], training.data)
  population = compile_population(
    training.learner,
    streaming.fed(training, on_host),
    training.evaluation_batch_size,
    len(members),
    block_of(options.lanes, work, len(members)),
    has_own_rows=on_host,
  )
  place = lambda tree: population.place(pad(tree, population.width))
  settings, keys = place(stack(configs)), place(stack(order_keys))
  active = population.place(np.arange(population.width) < len(members))
  feed = streaming.feed(
    training, population.place, population.share, on_host=on_host, has_lanes=True
  )
  per_call = options.dispatch or _steps_per_call(training, work, len(members))

  def fetch(tree: Any) -> Any:
    return tree if population.width == len(members) else first(tree, len(members))

  def steps(count: int, state: State, begin: int) -> tuple[State, Any]:
    call = lambda data, keys, firsts: population.steps(
      count, active, settings, state, data, keys, firsts
    )
    then = length_of_call(training, per_call, begin + count)
    firsts = np.full(population.width, begin, np.int32)
    state, metrics = feed.steps(call, keys, firsts, count, then)
    return state, fetch(metrics)

  def evaluate(state: State) -> dict[str, Any]:
    found = feed.evaluate(population, active, settings, state)
    return averages(fetch(found))  # lanes that fill up the program have no weight to divide by

  return CompiledTraining(training, place, fetch, steps, evaluate, per_call, _place(on_host))


def length_of_call(training: Training, per_call: int, step: int) -> int:
  """The number of steps that the call from a step on takes; 0 behind the last one.

  Calls begin anew with every row of the log, so that none is missed.
  """
  inside = step % training.log_every
  whole = per_call - inside % per_call
  return min(whole, training.log_every - inside, training.steps - step)


def evaluation(config: Config, training: Training, state: State) -> dict[str, np.ndarray]:
  """Metrics by "split/metric" over all evaluation sets, of a state on the host."""
  on_host = streaming.is_on_host(training, streaming.AUTO)
  program = compile_learner(training.learner, training.sampler, training.evaluation_batch_size)
  feed = streaming.feed(training, program.place, program.place, on_host=on_host)
  return averages(feed.evaluate(program, on_device(config), program.place(state)))


def _steps_per_call(training: Training, work: int, lanes: int = 1) -> int:
  return steps_per_call(work * lanes, training.log_every, training.batch_bytes * lanes)


def _place(on_host: bool) -> str:
  return streaming.HOST if on_host else streaming.DEVICE
