"""Optimizers by name, built inside of the step, so that every knob may be traced.

Adam's and SGD's come from optax. Epsilon stands outside of the root everywhere, as in PyTorch:
optax's AdaGrad and RMSProp have it inside, where 1e-8 acts like 1e-4. `weight_decay` is the
coefficient of an L2 penalty 0.5 * c * |W|^2 on the weights (not on biases or gains), except in
adamw, where it is decoupled (Loshchilov and Hutter 2019).
"""

import functools
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from research import optax_rules, parameter_groups
from research.config import pytree_config, static, traced
from research.errors import UserError
from research.precision import Precision, with_loss_scale
from research.schedules import PLATEAU, SCHEDULES, factor_of, length_in_steps, scale_on_plateau

Scalar = float | Float[Array, ""]


class Moments(NamedTuple):
  """The state of `over_root`: averages of gradients, where centred, and of their squares."""

  mean: optax.Params | None
  square: optax.Params


def over_root(
  keep: Scalar, add: Scalar, epsilon: Scalar, *, is_centred: bool = False
) -> optax.GradientTransformation:
  """Divides a gradient by the root of its squares so far, plus epsilon.

  The squares are v = keep v + add g^2: AdaGrad (Duchi et al. 2011) with 1 and 1, RMSProp (Hinton
  2012) with decay and 1 - decay. Centred (Graves 2013, equations 38 to 40), less m^2, where
  m = keep m + add g, which rounding never takes below 0. A gradient that hardly changes then makes
  long steps, which a larger epsilon shortens.
  """

  def init(params: optax.Params) -> Moments:
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)
    return Moments(zeros() if is_centred else None, zeros())

  def update(
    gradients: optax.Updates, state: Moments, params: optax.Params | None = None
  ) -> tuple[optax.Updates, Moments]:
    del params
    add_up = lambda old, new: jax.tree.map(lambda a, b: keep * a + add * b, old, new)
    square = add_up(state.square, jax.tree.map(jnp.square, gradients))
    mean, spread = None, square
    if is_centred:
      mean = add_up(state.mean, gradients)
      spread = jax.tree.map(lambda v, m: jnp.maximum(v - m**2, 0), square, mean)
    updates = jax.tree.map(lambda g, v: g / (jnp.sqrt(v) + epsilon), gradients, spread)
    return updates, Moments(mean, square)

  return optax.GradientTransformation(init, update)


# Each rule from the settings, the learning rate or its schedule, and the weight decay.
BUILDERS = {
  "sgd": lambda o, rate, decay: optax.sgd(rate),
  "momentum": lambda o, rate, decay: optax.sgd(rate, momentum=o.momentum),
  "nesterov": lambda o, rate, decay: optax.sgd(rate, momentum=o.momentum, nesterov=True),
  "adagrad": lambda o, rate, decay: optax.chain(
    over_root(1, 1, o.epsilon), optax.scale_by_learning_rate(rate)
  ),
  "rmsprop": lambda o, rate, decay: optax.chain(
    over_root(o.beta2, 1 - o.beta2, o.epsilon), optax.scale_by_learning_rate(rate)
  ),
  "centred_rmsprop": lambda o, rate, decay: optax.chain(
    over_root(o.beta2, 1 - o.beta2, o.epsilon, is_centred=True), optax.scale_by_learning_rate(rate)
  ),
  "adam": lambda o, rate, decay: optax.adam(rate, b1=o.beta1, b2=o.beta2, eps=o.epsilon),
  "adamw": lambda o, rate, decay: optax.adamw(
    rate, b1=o.beta1, b2=o.beta2, eps=o.epsilon, weight_decay=decay, mask=is_weight
  ),
}


@pytree_config
class Optimizer:
  """The name of an optimizer, and its hyper-parameters."""

  name: str = static("adam", "the update rule", choices=(*BUILDERS, "optax:NAME"))
  learning_rate: float = traced(1e-3, "step size", at_least=0)
  schedule: str = static("constant", "how the step size falls over the run", choices=SCHEDULES)
  momentum: float = traced(0.9, "decay of the velocity (momentum, nesterov)", at_least=0, below=1)
  beta1: float = traced(0.9, "decay of the gradient's mean (adam, adamw)", at_least=0, below=1)
  beta2: float = traced(
    0.999,
    "decay of the gradient's mean square (rmsprop, centred_rmsprop, adam, adamw)",
    at_least=0,
    below=1,
  )
  epsilon: float = traced(
    1e-8,
    "added to the root of the squares: keeps the divisor from zero (all but SGD's kind)",
    above=0,
  )
  weight_decay: float = traced(0.0, "L2 penalty on the weights; decoupled in adamw", at_least=0)
  # Off unless given; what is off is no part of the program.
  warmup: float | None = traced(
    None, "length over which the step size rises; in steps, or below 1 a share of the run", above=0
  )
  schedule_every: float | None = traced(
    None, "interval of step, exponential, plateau; as warmup, and 0.1 unless given", above=0
  )
  schedule_factor: float | None = traced(
    None, "of the step size in each of these intervals; 0.5 unless given", above=0, at_most=1
  )
  clip_norm: float | None = traced(None, "longest gradient", above=0)
  clip_value: float | None = traced(None, "largest entry of a gradient", above=0)
  groups: str | None = static(
    None, "parameters with rates of their own, as in 'Conv_: frozen; Dense_0: rate=0.1, decay=0'"
  )
  fields: str | None = static(None, "optax:NAME: fields of its own, as in 'b1=0.95, nesterov=true'")
  ema: float | None = traced(
    None, "decay of the weights' moving average, evaluated in their place", at_least=0, below=1
  )
  label_smoothing: float | None = traced(
    None, "share of a softmax loss's target for all classes alike", at_least=0, below=1
  )
  micro_batches: int | None = static(
    None, "parts of a batch, one after the other: less memory, the same gradient", at_least=1
  )
  precision: str | None = static(
    None,
    "of the forward and backward passes, around weights in float32",
    choices=("float32", "bfloat16", "float16"),
  )
  full_precision: str | None = static(
    None, "modules computed in float32 under a precision of 16 bits, as in 'Conv_0; Dense_'"
  )
  class_weights: str | None = static(
    None, "of the training loss: balanced, or a number for each class, as in '1, 2.5'"
  )
  class_sampling: str | None = static(
    None, "balanced draws each class as often as the others", choices=("balanced",)
  )


# Settings that are no part of the update rule, with what a learner is that reads them not.
BESIDE = {
  "ema": "keeps no average of its weights",
  "label_smoothing": "has no softmax loss with labels",
  "micro_batches": "takes its batches whole",
  "precision": "computes in float32 alone",
  "full_precision": "computes in float32 alone",
  "class_weights": "learns from no classes",
  "class_sampling": "learns from no classes",
}


def is_weight(params: optax.Params) -> optax.Params:
  """True for matrices and kernels, False for biases, gains and other vectors."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def optimizer_in(config: Any) -> Optimizer:
  """`config.optimizer`, or the default where the config has no such field."""
  found = getattr(config, "optimizer", None)
  return found if isinstance(found, Optimizer) else Optimizer()


def precision_in(config: Any) -> Precision:
  """The number formats of a config's forward and backward passes.

  Raises:
    UserError: for exceptions from float32.
  """
  own = optimizer_in(config)
  short = None if own.precision == "float32" else own.precision
  if own.full_precision is not None and short is None:
    raise UserError("optimizer.full_precision is for a precision of bfloat16 or float16")
  return Precision(short, own.full_precision)


def make_optimizer(
  optimizer: Optimizer, steps: int, beside: Collection[str] = (), *, has_loss: bool = False
) -> optax.GradientTransformation:
  """The optax optimizer for a run of `steps` updates; its hyper-parameters may be tracers.

  Args:
    optimizer: its settings.
    steps: of the run.
    beside: those of BESIDE that the learner reads itself.
    has_loss: whether the learner gives `apply_gradients` its loss as a function, so that rules that
      search along a line, such as optax:lbfgs, may be chosen.

  Raises:
    UserError: for settings that do not go together, that name what is not there, or that the
      learner does not read.
  """
  for name, lack in BESIDE.items():
    if name not in beside and getattr(optimizer, name) is not None:
      raise UserError(f"optimizer.{name}: this learner {lack}; leave it out")
  return _clipped(optimizer, steps, optimizer.clip_norm, has_loss)


def optimizer_of(config: Any, steps: int) -> optax.GradientTransformation:
  """Makes `config.optimizer`, with gradients clipped to `config.clip` where there is one.

  Raises:
    UserError: as `make_optimizer`; or where two norms are given.
  """
  clip, norm = getattr(config, "clip", None), config.optimizer.clip_norm
  if clip is not None and norm is not None:
    raise UserError("clip and optimizer.clip_norm are the same here; give clip alone")
  return _clipped(config.optimizer, steps, norm if clip is None else clip)


def apply_gradients(
  update: optax.GradientTransformation,
  gradients: optax.Updates,
  opt_state: optax.OptState,
  params: optax.Params,
  loss: Float[Array, ""] | None = None,
  *,
  loss_of: Callable[[optax.Params], Float[Array, ""]] | None = None,
) -> tuple[optax.Params, optax.OptState]:
  """Makes one update; returns the new parameters and optimizer state.

  Args:
    update: the optimizer.
    gradients: of the loss.
    opt_state: the optimizer's.
    params: that it moves.
    loss: of the batch, for schedules that follow it.
    loss_of: the same as a function of parameters, for line searches.
  """
  update = optax.with_extra_args_support(update)
  search = {} if loss_of is None else {"grad": gradients, "value_fn": loss_of}
  updates, opt_state = update.update(gradients, opt_state, params, value=loss, **search)
  return optax.apply_updates(params, updates), opt_state


def _clipped(
  optimizer: Optimizer, steps: int, norm: Scalar | None, has_loss: bool = False
) -> optax.GradientTransformation:
  """The whole optimizer: gradients are clipped, then the rules of the groups, then the plateau.

  By its norm a gradient is scaled as a whole, its direction kept (Pascanu et al. 2013, section
  3.2); by value each of its entries is cut.
  """
  groups = parameter_groups.parse(optimizer.groups)
  parts = [parameter_groups.by_group(groups, functools.partial(_rule, optimizer, steps, has_loss))]
  if optimizer.schedule == PLATEAU:
    every = length_in_steps(_every(optimizer), steps)
    parts = [*parts, scale_on_plateau(every, _factor(optimizer))]
  clips = [optax.clip(optimizer.clip_value)] if optimizer.clip_value is not None else []
  if norm is not None:
    clips = [*clips, optax.clip_by_global_norm(norm)]
    if any(group.is_frozen for group in groups):
      clips = [parameter_groups.without_frozen(groups), *clips]
  parts = clips + parts
  whole = optax.chain(*parts) if len(parts) > 1 else parts[0]
  return with_loss_scale(whole) if optimizer.precision == "float16" else whole


def _rule(
  optimizer: Optimizer, steps: int, has_loss: bool, rate_factor: float, decay_factor: float
) -> optax.GradientTransformation:
  """The update rule of one group of parameters."""
  peak, decay = optimizer.learning_rate, optimizer.weight_decay
  if rate_factor != 1:
    peak = peak * rate_factor
  if decay_factor != 1:
    decay = decay * decay_factor
  factor = factor_of(
    optimizer.schedule,
    steps,
    warmup=optimizer.warmup,
    every=_every(optimizer),
    factor=_factor(optimizer),
  )
  rate = (lambda step: peak * factor(step)) if factor else peak
  if optimizer.name.startswith(optax_rules.PREFIX):
    name = optimizer.name.removeprefix(optax_rules.PREFIX)
    update, has_decay = optax_rules.build(
      name, optimizer.fields, rate, decay, is_weight, has_loss=has_loss
    )
  elif optimizer.fields is not None:
    raise UserError(f"fields are of an optimizer optax:NAME, and not of {optimizer.name}")
  else:
    update, has_decay = BUILDERS[optimizer.name](optimizer, rate, decay), optimizer.name == "adamw"
  if has_decay:
    return update
  return optax.chain(optax.add_decayed_weights(decay, mask=is_weight), update)


def _every(optimizer: Optimizer) -> Scalar:
  return 0.1 if optimizer.schedule_every is None else optimizer.schedule_every


def _factor(optimizer: Optimizer) -> Scalar:
  return 0.5 if optimizer.schedule_factor is None else optimizer.schedule_factor
