"""A training compiled and bound to its data: alone, or as a population of lanes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Key

from research.compile import Program, compile_learner, step_work, steps_per_call
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
  """

  training: Training
  place: Callable[[State], State]
  fetch: Callable[[State], State]
  steps: Callable[[int, State, int], tuple[State, Any]]
  evaluate: Callable[[State], dict[str, np.ndarray]]
  steps_per_call: int


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
  program = compile_learner(
    training.learner, training.sampler, training.evaluation_batch_size, options.parallel
  )
  settings = program.place(on_device(config))
  placed = {begin: program.place(on_device(each)) for begin, each in schedule} or {0: settings}
  data = program.place(dict(training.data))
  held_out = {split: program.place(dict(arrays)) for split, arrays in training.evaluate.items()}

  def steps(count: int, state: State, first: int) -> tuple[State, Any]:
    now = placed[max(begin for begin in placed if begin <= first)]
    return program.steps(count, now, state, data, order_key, np.int32(first))

  work = step_work(training.learner, training.sampler, settings, data)
  return CompiledTraining(
    training,
    program.place,
    lambda state: state,
    steps,
    lambda state: evaluation(program, settings, state, held_out),
    options.dispatch or steps_per_call(work, training.log_every),
  )


def compile_for_many(
  members: Sequence[Member],
  training: Training,
  order_keys: Sequence[Key[Array, ""]],
  options: Options,
) -> CompiledTraining:
  """The training of several configs that share their static fields, as lanes of one program."""
  configs = [on_device(member.config) for member in members]
  work = step_work(training.learner, training.sampler, configs[0], training.data)
  population = compile_population(
    training.learner,
    training.sampler,
    training.evaluation_batch_size,
    len(members),
    block_of(options.lanes, work, len(members)),
  )
  place = lambda tree: population.place(pad(tree, population.width))
  settings, keys = place(stack(configs)), place(stack(order_keys))
  active = population.place(np.arange(population.width) < len(members))
  data = population.share(dict(training.data))
  held_out = {split: population.share(dict(a)) for split, a in training.evaluate.items()}

  def fetch(tree: Any) -> Any:
    return tree if population.width == len(members) else first(tree, len(members))

  def steps(count: int, state: State, begin: int) -> tuple[State, Any]:
    firsts = np.full(population.width, begin, np.int32)
    state, metrics = population.steps(count, active, settings, state, data, keys, firsts)
    return state, fetch(metrics)

  def evaluate(state: State) -> dict[str, Any]:
    evaluate = lambda arrays: population.evaluate(active, settings, state, arrays)
    found = {split: fetch(evaluate(arrays)) for split, arrays in held_out.items()}
    return averages(found)  # lanes that fill up the program have no weight to divide by

  count = options.dispatch or steps_per_call(work * len(members), training.log_every)
  return CompiledTraining(training, place, fetch, steps, evaluate, count)


def evaluation(
  program: Program, config: Config, state: State, held_out: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """Metrics by "split/metric" over whole data sets."""
  return averages(
    {split: program.evaluate(config, state, data) for split, data in held_out.items()}
  )
