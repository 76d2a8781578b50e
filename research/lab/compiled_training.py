"""A training compiled and bound to its data: alone, or as a population of lanes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Key

from research.compile import Program, compile_learner, step_work, steps_per_dispatch
from research.lab.loop import Machine
from research.lanes import block_of, compile_population, first, pad, stack
from research.learner import Config, State
from research.metrics import averages
from research.training import Member, Options, Training, on_device


def machine_for_one(
  config: Config,
  training: Training,
  order_key: Key[Array, ""],
  options: Options,
  schedule: Sequence[tuple[int, Config]] = (),
) -> Machine:
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
  return Machine(
    program.place,
    lambda state: state,
    steps,
    lambda state: evaluation(program, settings, state, held_out),
    steps_per_dispatch(work, training.log_every),
  )


def machine_for_many(
  members: Sequence[Member],
  training: Training,
  order_keys: Sequence[Key[Array, ""]],
  options: Options,
) -> Machine:
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

  dispatch = steps_per_dispatch(work * len(members), training.log_every)
  return Machine(place, fetch, steps, evaluate, dispatch)


def evaluation(
  program: Program, config: Config, state: State, held_out: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """Metrics by "split/metric" over whole data sets."""
  return averages(
    {split: program.evaluate(config, state, data) for split, data in held_out.items()}
  )
