"""The contract: everything that learns here is three pure functions.

`jit`, many steps per call, many devices, many trials at once: each is a transformation of
`step`, written once in `research.compile` for all systems.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, by_parts, inputs_of, weights_of
from research.class_balance import CLASS_WEIGHT
from research.layers.batch_axis import batch_sum
from research.layers.batch_norm import BatchNorm
from research.layers.fast_gradients import with_fast_gradients
from research.losses import (
  pixel_cross_entropy,
  softmax_cross_entropy,
  token_cross_entropy,
  weighted_loss,
  with_label_smoothing,
)
from research.metrics import (
  Mean,
  accuracy,
  batch_means,
  local_means,
  pixel_accuracy,
  token_accuracy,
)
from research.micro_batches import accumulated, placed
from research.optimizers import apply_gradients, optimizer_in, precision_in
from research.precision import in_precision, loss_scale, scaled

Config = Any
State = Any
Metrics = dict[str, Float[Array, ""]]
PerExample = Callable[[Any, Batch], Float[Array, " batch"] | Mean]


class ReadsConfig(NamedTuple):
  """A loss or a metric that reads settings: a function of (outputs, batch, config).

  supervised_training(model, loss=ReadsConfig(focal_loss))  # focal_loss reads config.gamma
  """

  function: Callable[[Any, Batch, Config], Float[Array, " batch"] | Mean]

  def of(self, config: Config) -> PerExample:
    """The loss or metric at these settings."""
    return lambda outputs, batch: self.function(outputs, batch, config)


class Learner(NamedTuple):
  """A learning system as pure functions; `config` is a pytree and may hold tracers.

  Attributes:
    init: the first state, from a config and a key.
    step: one update; a batch may carry "weight" [batch], and examples of weight 0 count for
      nothing.
    evaluate: metrics of a batch as `Mean`s, which add up over batches, or as `Gathered`, which are
      of all batches together.
    classes: for fields of a batch that hold integers, such as "label", how many outputs stand for
      them; data are looked at by it before anything is compiled. None asks for nothing.
    blame: looks in a state after a loss that is not finite for what came from outside and was not
      finite, such as an environment's observation, and names it; None where it finds nothing.
    outputs: of a state for a batch, in evaluation mode, where there is a network to ask.
  """

  init: Callable[[Config, Key[Array, ""]], State]
  step: Callable[[Config, State, Batch], tuple[State, Metrics]]
  evaluate: Callable[[Config, State, Batch], dict[str, Any]]
  classes: Callable[[Config], dict[str, int]] | None = None
  blame: Callable[[State], str | None] | None = None
  outputs: Callable[[Config, State, Batch], Any] | None = None


class TrainState(NamedTuple):
  """State of a supervised learner.

  Attributes:
    step: number of updates made.
    key: the run's key; the randomness of a step is `fold_in(key, step)`.
    params: what the optimizer moves, or its average (`research.weight_average`).
    variables: the model's other collections, such as running statistics.
    opt_state: the optimizer's state.
    raw: what the optimizer moves, where `params` is its average.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  params: Any
  variables: Any
  opt_state: Any
  raw: Any = None


class Supervised(NamedTuple):
  """The parts of a supervised learner; every function may read any field of the config."""

  model: Callable[[Config], nn.Module]
  loss: PerExample | ReadsConfig
  example: Callable[[Config], Any]
  optimizer: Callable[[Config], optax.GradientTransformation]
  metrics: Mapping[str, PerExample | ReadsConfig]
  inputs: Callable[[Batch], Any]


def supervised(
  model: Callable[[Config], nn.Module],
  loss: PerExample | ReadsConfig,
  example: Callable[[Config], Any],
  optimizer: Callable[[Config], optax.GradientTransformation],
  *,
  metrics: Mapping[str, PerExample | ReadsConfig] | None = None,
  inputs: Callable[[Batch], Any] = inputs_of,
) -> Learner:
  """A learner from a model, a loss and an optimizer.

  Args:
    model: gives the Linen module, called as `module(inputs, train=...)`.
    loss: of (outputs, batch), one value per example; or a `Mean` of [batch] and [batch], where an
      example counts by a weight of its own, as a sentence does by its tokens. One that reads
      settings is a `ReadsConfig`, and so are such metrics.
    example: the inputs of one example, without the batch's axis: a shape, or a tree of
      `jax.ShapeDtypeStruct` where they are more than one array of floats.
    optimizer: gives the optax optimizer, usually by `research.optimizers.make_optimizer`.
    metrics: further values per example, reported beside the loss; by default the accuracy.
    inputs: the model's inputs from the batch; by default its images.
  """
  parts = Supervised(
    model,
    loss,
    example,
    optimizer,
    {"accuracy": accuracy} if metrics is None else metrics,
    inputs,
  )
  return Learner(
    functools.partial(_init, parts),
    functools.partial(_step, parts),
    functools.partial(_evaluate, parts),
    functools.partial(_classes, parts),
    outputs=functools.partial(_outputs, parts),
  )


def predict(
  model: nn.Module,
  state: TrainState,
  batch: Batch,
  inputs: Callable[[Batch], Any] = inputs_of,
) -> Any:
  """The model's outputs in evaluation mode."""
  return model.apply(variables_of(state), inputs(batch), train=False)


def variables_of(state: TrainState) -> dict[str, Any]:
  """The parameters and the other collections, as a module's `apply` takes them."""
  return {"params": state.params, **state.variables}


def predict_classes(
  model: nn.Module, state: TrainState, data: Mapping[str, np.ndarray], batch_size: int = 1000
) -> np.ndarray:
  """The class with the largest output for every example of a data set; [examples]."""
  images = {"image": data["image"]}
  return largest_outputs(lambda batch: predict(model, state, batch), images, batch_size)


def largest_outputs(
  outputs: Callable[[Batch], Float[Array, "batch classes"]],
  data: Mapping[str, np.ndarray],
  batch_size: int,
) -> np.ndarray:
  """The place of the largest of the outputs for every example of a data set; [examples]."""
  answers = jax.jit(lambda batch: jnp.argmax(outputs(batch), axis=-1))
  return by_parts(answers, dict(data), batch_size)


def _init(parts: Supervised, config: Config, key: Key[Array, ""]) -> TrainState:
  params_key, run_key = jax.random.split(key)
  variables = dict(parts.model(config).init(params_key, _zeros(parts, config), train=False))
  params = variables.pop("params")
  opt_state = parts.optimizer(config).init(params)
  return TrainState(jnp.int32(0), run_key, params, variables, opt_state)


def _zeros(parts: Supervised, config: Config) -> Any:
  """A batch of one example's inputs."""
  example = parts.example(config)
  if isinstance(example, tuple) and all(isinstance(size, int) for size in example):
    example = jax.ShapeDtypeStruct(example, jnp.result_type(float))
  return jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape), leaf.dtype), example)


# The fields whose integers the outputs' last axis stands for, by who reads them.
FIELDS = {
  softmax_cross_entropy: "label",
  accuracy: "label",
  token_cross_entropy: "target",
  token_accuracy: "target",
  pixel_cross_entropy: "mask",
  pixel_accuracy: "mask",
}


def field_of(reader: PerExample | ReadsConfig) -> str | None:
  """The field of a batch whose integers a loss or metric takes for classes, where that is known."""
  return None if isinstance(reader, ReadsConfig) else FIELDS.get(getattr(reader, "func", reader))


def _classes(parts: Supervised, config: Config) -> dict[str, int]:
  fields = set(map(field_of, (parts.loss, *parts.metrics.values()))) - {None}
  if not fields:
    return {}
  key, model = jax.random.key(0), parts.model(config)
  outputs, _ = jax.eval_shape(
    lambda: model.init_with_output(key, _zeros(parts, config), train=False)
  )
  return dict.fromkeys(fields, outputs.shape[-1])


def _step(
  parts: Supervised, config: Config, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
  count = optimizer_in(config).micro_batches or 1
  descent = _descent if count == 1 else functools.partial(_accumulated_descent, count)
  scale = loss_scale(precision_in(config), state.opt_state)
  gradients, variables, metrics = descent(parts, config, state, batch, scale)
  params, opt_state = apply_gradients(
    parts.optimizer(config), gradients, state.opt_state, state.params, metrics["loss"]
  )
  if scale is not None:
    metrics = metrics | {"loss_scale": scale}
  return TrainState(state.step + 1, state.key, params, variables, opt_state), metrics


def _descent(
  parts: Supervised, config: Config, state: TrainState, batch: Batch, scale: Array | None
) -> tuple[Any, Any, Metrics]:
  """The gradient of the batch's mean loss, scaled, the model's other collections, the metrics."""
  dropout_key = jax.random.fold_in(state.key, state.step)

  def objective(params: Any) -> tuple[Float[Array, ""], tuple[Any, dict[str, Array]]]:
    means, variables = _means(parts, config, params, state.variables, batch, dropout_key)
    shares = {name: mean.total / batch_sum(mean.weight) for name, mean in means.items()}
    return scaled(shares["loss"], scale), (variables, shares)

  # Under pmap each device differentiates its own share of the mean loss, and the shares add up.
  gradients, (variables, shares) = jax.grad(objective, has_aux=True)(state.params)
  gradients, metrics = batch_sum((gradients, shares))
  return gradients, variables, metrics


def _accumulated_descent(
  micro_batches: int,
  parts: Supervised,
  config: Config,
  state: TrainState,
  batch: Batch,
  scale: Array | None,
) -> tuple[Any, Any, Metrics]:
  """`_descent` over one part of the batch after the other."""
  dropout_key = jax.random.fold_in(state.key, state.step)
  # The sum over a part is scaled as the batch's mean is, or its gradient would pass 65,504 sooner.
  size = 1 if scale is None else weights_of(batch).size
  part_scale = None if scale is None else scale / size

  def of_part(variables: Any, part: Batch, positions: Array) -> tuple[Any, Any, tuple[()]]:
    def objective(params: Any) -> tuple[Float[Array, ""], tuple[Any, dict[str, Mean]]]:
      with placed(positions):
        means, after = _means(parts, config, params, variables, part, dropout_key)
      return scaled(means["loss"].total, part_scale), (after, means)

    gradients, (variables, means) = jax.grad(objective, has_aux=True)(state.params)
    return variables, (gradients, means), ()

  variables, sums, _ = accumulated(of_part, state.variables, batch, micro_batches)
  gradients, means = batch_sum(sums)
  weight = means["loss"].weight / size
  gradients = jax.tree.map(lambda leaf: leaf / weight, gradients)
  return gradients, variables, {name: mean.total / mean.weight for name, mean in means.items()}


def _means(
  parts: Supervised,
  config: Config,
  params: Any,
  variables: Any,
  batch: Batch,
  dropout_key: Key[Array, ""],
) -> tuple[dict[str, Mean], dict[str, Any]]:
  """Loss and metrics in training mode, of one device, and the model's other collections."""
  mask = batch.get("weight")  # without it nothing is padded
  collections = list(variables)

  def forward(variables: Any, inputs: Any) -> tuple[Any, Any]:
    with nn.intercept_methods(functools.partial(_mask_statistics, mask)):
      return parts.model(config).apply(
        variables, inputs, train=True, rngs={"dropout": dropout_key}, mutable=collections
      )

  forward = with_fast_gradients(in_precision(precision_in(config), forward))
  outputs, after = forward({"params": params, **variables}, parts.inputs(batch))
  loss = with_label_smoothing(_at(parts.loss, config), optimizer_in(config).label_smoothing)
  values = _values(parts._replace(loss=loss), config, outputs, batch)
  if CLASS_WEIGHT in batch:
    values |= {"loss": weighted_loss(values["loss"], batch[CLASS_WEIGHT])}
  return local_means(values, batch), dict(after)


def _outputs(parts: Supervised, config: Config, state: TrainState, batch: Batch) -> Any:
  return predict(parts.model(config), state, batch, parts.inputs)


def _evaluate(
  parts: Supervised, config: Config, state: TrainState, batch: Batch
) -> dict[str, Mean]:
  outputs = _outputs(parts, config, state, batch)
  return batch_means(_values(parts, config, outputs, batch), batch)


def _at(value: PerExample | ReadsConfig, config: Config) -> PerExample:
  return value.of(config) if isinstance(value, ReadsConfig) else value


def _values(
  parts: Supervised, config: Config, outputs: Any, batch: Batch
) -> dict[str, Array | Mean]:
  """Loss and metrics of every example."""
  values = {"loss": parts.loss, **parts.metrics}
  return {name: _at(value, config)(outputs, batch) for name, value in values.items()}


def _mask_statistics(
  mask: Float[Array, " batch"] | None, next_method: Any, args: Any, kwargs: Any, context: Any
) -> Any:
  """Linen interceptor: padded examples must not count in batch statistics, in any model."""
  if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
    kwargs = kwargs | {"mask": mask}
  return next_method(*args, **kwargs)
