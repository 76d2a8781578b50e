"""Truncated back-propagation through time: language models whose carries live in the state.

Batches continue each other (`text.language.partition`, `sampling.in_order`), so each
step starts from the carries with which the one before it ended. No gradient flows back over that
seam. Where a batch is the first of its strands, the carries start from zero.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, text_inputs
from research.layers.batch_axis import batch_positions, batch_sum
from research.learner import Config, Learner, Metrics
from research.losses import token_cross_entropy, with_label_smoothing
from research.metrics import Mean, batch_means, local_means
from research.micro_batches import accumulated, placed
from research.optimizers import apply_gradients, optimizer_in, precision_in
from research.precision import in_precision, loss_scale, scaled


class BPTTState(NamedTuple):
  """State of a language model that reads on.

  Attributes:
    step: number of updates made.
    key: the run's key; the randomness of a step is `fold_in(key, step)`.
    params: what the optimizer moves, or its average (`research.weight_average`).
    opt_state: the optimizer's state.
    carries: the model's, with the whole batch along the first axis.
    raw: what the optimizer moves, where `params` is its average.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  params: Any
  opt_state: Any
  carries: Any
  raw: Any = None


class Parts(NamedTuple):
  """The parts of a learner by truncated back-propagation through time."""

  model: Callable[[Config], nn.Module]
  optimizer: Callable[[Config], optax.GradientTransformation]
  batch_size: Callable[[Config], int]


def truncated_bptt(
  model: Callable[[Config], nn.Module],
  optimizer: Callable[[Config], optax.GradientTransformation],
  batch_size: Callable[[Config], int],
) -> Learner:
  """A learner from a language model, called as `model(tokens, carries, train=...)`.

  It is evaluated from carries of zero, one segment of text at a time.
  """
  parts = Parts(model, optimizer, batch_size)
  return Learner(
    functools.partial(_init, parts),
    functools.partial(_step, parts),
    functools.partial(_evaluate, parts),
  )


def _init(parts: Parts, config: Config, key: Key[Array, ""]) -> BPTTState:
  params_key, run_key = jax.random.split(key)
  model, tokens = parts.model(config), jnp.zeros((parts.batch_size(config), 1), jnp.int32)
  params = model.init(params_key, tokens)["params"]
  _, carries = jax.eval_shape(model.apply, {"params": params}, tokens)
  carries = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carries)
  return BPTTState(jnp.int32(0), run_key, params, parts.optimizer(config).init(params), carries)


def _step(
  parts: Parts, config: Config, state: BPTTState, batch: Batch
) -> tuple[BPTTState, Metrics]:
  # Under pmap a device holds some of the batch, and with padding more than all of it.
  places = batch_positions(len(batch["is_first"]))
  starts = batch["is_first"][:, None]
  carries = jax.tree.map(
    lambda leaf: jnp.where(starts, 0, leaf.at[places].get(mode="clip")), state.carries
  )

  count = optimizer_in(config).micro_batches or 1
  descent = _descent if count == 1 else functools.partial(_accumulated_descent, count)
  scale = loss_scale(precision_in(config), state.opt_state)
  gradients, loss, last = descent(parts, config, state, batch, carries, scale)
  params, opt_state = apply_gradients(
    parts.optimizer(config), gradients, state.opt_state, state.params, loss
  )
  whole = jax.tree.map(
    lambda leaf, part: batch_sum(jnp.zeros_like(leaf).at[places].set(part, mode="drop")),
    state.carries,
    last,
  )
  metrics = {"loss": loss} if scale is None else {"loss": loss, "loss_scale": scale}
  return BPTTState(state.step + 1, state.key, params, opt_state, whole), metrics


def _descent(
  parts: Parts,
  config: Config,
  state: BPTTState,
  batch: Batch,
  carries: Any,
  scale: Array | None,
) -> tuple[Any, Float[Array, ""], Any]:
  """The gradient of the batch's mean loss, scaled, this loss, and the carries that are left."""

  def objective(params: Any) -> tuple[Float[Array, ""], tuple[Array, Any]]:
    mean, last = _mean(parts, config, state, params, batch, carries)
    share = mean.total / batch_sum(mean.weight)
    return scaled(share, scale), (share, last)

  gradients, (share, last) = jax.grad(objective, has_aux=True)(state.params)
  gradients, loss = batch_sum((gradients, share))
  return gradients, loss, last


def _accumulated_descent(
  micro_batches: int,
  parts: Parts,
  config: Config,
  state: BPTTState,
  batch: Batch,
  carries: Any,
  scale: Array | None,
) -> tuple[Any, Float[Array, ""], Any]:
  """`_descent` over one part of the batch after the other."""
  # The sum over a part is scaled as the batch's mean is, or its gradient would pass 65,504 sooner.
  size = 1 if scale is None else text_inputs(batch).size
  part_scale = None if scale is None else scale / size

  def of_part(carry: tuple[()], part: Any, positions: Array) -> tuple[tuple[()], Any, Any]:
    def objective(params: Any) -> tuple[Float[Array, ""], Any]:
      with placed(positions):
        mean, last = _mean(parts, config, state, params, *part)
      return scaled(mean.total, part_scale), (mean, last)

    gradients, (mean, last) = jax.grad(objective, has_aux=True)(state.params)
    return carry, (gradients, mean), last

  _, sums, last = accumulated(of_part, (), (batch, carries), micro_batches)
  gradients, mean = batch_sum(sums)
  weight = mean.weight / size
  gradients = jax.tree.map(lambda leaf: leaf / weight, gradients)
  return gradients, mean.total / mean.weight, last


def _mean(
  parts: Parts, config: Config, state: BPTTState, params: Any, batch: Batch, carries: Any
) -> tuple[Mean, Any]:
  """The loss in training mode, of one device, and the carries that the batch leaves."""
  dropout_key = jax.random.fold_in(state.key, state.step)

  def forward(variables: Any, inputs: tuple[Array, Any]) -> tuple[Array, Any]:
    return parts.model(config).apply(variables, *inputs, train=True, rngs={"dropout": dropout_key})

  in_short = in_precision(precision_in(config), forward)
  logits, last = in_short({"params": params}, (text_inputs(batch), carries))
  loss = with_label_smoothing(token_cross_entropy, optimizer_in(config).label_smoothing)
  return local_means({"loss": loss(logits, batch)}, batch)["loss"], last


def _evaluate(parts: Parts, config: Config, state: BPTTState, batch: Batch) -> dict[str, Mean]:
  tokens = text_inputs(batch)
  logits, _ = parts.model(config).apply({"params": state.params}, tokens)
  return batch_means({"loss": token_cross_entropy(logits, batch)}, batch)
