"""Learners made of others: with a second look at each batch, other metrics, other images."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float, Key

from research.batch import Batch, inputs_of, weights_of
from research.layers.batch_axis import batch_gather
from research.learner import Config, Learner, Metrics, State, TrainState
from research.set_metrics import Gathered, SetMetric


def with_loss_after_update(learner: Learner) -> Learner:
  """The learner that looks at every batch once more after learning from it.

  Its "loss_after" is lower than the "loss" that was found on the way: the batch has just been
  fitted. Saito's book logs the former, most others the latter.
  """

  def step(config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
    state, metrics = learner.step(config, state, batch)
    loss = learner.evaluate(config, state, batch)["loss"]
    return state, metrics | {"loss_after": loss.total / loss.weight}

  return learner._replace(step=step)


def with_set_metrics(
  learner: Learner,
  metrics: Mapping[str, SetMetric],
  *,
  target: str = "label",
  answer: Callable[[Any], Array] = lambda outputs: outputs,
) -> Learner:
  """The learner whose evaluations have metrics of the whole set, such as the F1 score.

  Args:
    learner: it has `outputs`.
    metrics: functions of all outputs and all targets, as in `research.set_metrics`.
    target: the batch's field with which outputs are compared.
    answer: what is kept of the outputs of a batch for them; by default all.
  """
  outputs_of = learner.outputs
  if outputs_of is None:
    raise ValueError("metrics of the whole set need a learner with outputs")

  def evaluate(config: Config, state: State, batch: Batch) -> dict[str, Any]:
    outputs = answer(outputs_of(config, state, batch))
    kept = batch_gather((outputs, batch[target], weights_of(batch)))
    gathered = {name: Gathered(*kept, metric) for name, metric in metrics.items()}
    return {**learner.evaluate(config, state, batch), **gathered}

  return learner._replace(evaluate=evaluate)


def augmented(
  learner: Learner, transform: Callable[[Config, Key[Array, ""], Float[Array, "..."]], Array]
) -> Learner:
  """The learner on other images of the same classes, drawn anew at every step.

  Args:
    learner: its state is a `TrainState`.
    transform: gives the step's images, of (config, key, images in [0, 1]).
  """

  def step(config: Config, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 1)
    return learner.step(config, state, batch | {"image": transform(config, key, inputs_of(batch))})

  return learner._replace(step=step)


def begun(learner: Learner, change: Callable[[Config, State], State]) -> Learner:
  """The learner whose first state is changed, as to begin with weights from elsewhere."""

  def init(config: Config, key: Key[Array, ""]) -> State:
    return change(config, learner.init(config, key))

  return learner._replace(init=init)


def with_module(state: TrainState, other: TrainState, name: str) -> TrainState:
  """The state whose module of that name, with its statistics, is another state's.

  Args:
    state: what is changed, as the first state of a learner.
    other: of a network that has a module of the same name and shapes.
    name: of a module that is no part of another one.
  """
  own = lambda tree, known: tree | {name: known[name]}
  variables = {kind: own(tree, other.variables[kind]) for kind, tree in state.variables.items()}
  return state._replace(params=own(state.params, other.params), variables=variables)
