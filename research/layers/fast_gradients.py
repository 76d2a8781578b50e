"""Networks with the slow layers of others, made as fast on the CPU as those with ours.

XLA's CPU backend takes 10 to 80 times as long for the gradients of `lax.conv_general_dilated`
inside of a loop, and those of `lax.reduce_window` make a step three times as long. flax's `Conv`,
`ConvTranspose`, `max_pool` and `avg_pool` are made of these, and so is much that is written on lax.
`with_fast_gradients` finds the operations in a function's jaxpr and puts `research.layers`'s own in
their place: the same values, the same gradients, other rounding.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp

from research.layers.convolution import MOST_SPLIT_GROUPS, convolve, is_split
from research.layers.pooling import first_max_pool, sum_pool_tiles
from research.target_platform import target_platform


def with_fast_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
  """The function with faster gradients, of reverse mode alone; itself where nothing is slow.

  Args:
    function: of pytrees of arrays, whose result is one too. It is traced once more.
  """

  def fast(*arguments: Any) -> Any:
    if target_platform() != "cpu":
      return function(*arguments)
    closed, result = jax.make_jaxpr(function, return_shape=True)(*arguments)
    if not _has_slow(closed.jaxpr):
      return function(*arguments)
    found = _evaluate(closed, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(result), found)

  return fast


def _has_slow(jaxpr: jex.Jaxpr) -> bool:
  return any(
    _replacement(equation) is not None or any(map(_has_slow, _inlined(equation)))
    for equation in jaxpr.eqns
  )


def _inlined(equation: jex.JaxprEqn) -> Iterator[jex.Jaxpr]:
  """The program that an equation calls, where it may be written out in its place."""
  if equation.primitive.name in ("jit", "pjit"):
    yield equation.params["jaxpr"].jaxpr


def _evaluate(closed: jex.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
  """Computes a program's results, with faster operations for the slow ones."""
  jaxpr = closed.jaxpr
  values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *arguments), strict=True))
  read = lambda variable: variable.val if isinstance(variable, jex.Literal) else values[variable]
  for equation in jaxpr.eqns:
    inputs = [read(variable) for variable in equation.invars]
    replacement = _replacement(equation)
    if replacement is not None:
      outputs: Sequence[Any] = [replacement(*inputs)]
    elif any(map(_has_slow, _inlined(equation))):
      outputs = _evaluate(equation.params["jaxpr"], inputs)
    else:
      outputs = _as_it_is(equation, inputs)
    values.update(zip(equation.outvars, outputs, strict=True))
  return [read(variable) for variable in jaxpr.outvars]


def _as_it_is(equation: jex.JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
  """Computes one equation by the operation that it names."""
  bound = equation.primitive.get_bind_params(equation.params)
  functions, params = bound if isinstance(bound, tuple) else ((), bound)  # before JAX 0.10: a pair
  found = equation.primitive.bind(*functions, *inputs, **params)
  return found if equation.primitive.multiple_results else [found]


def _replacement(equation: jex.JaxprEqn) -> Callable[..., Any] | None:
  """The faster operation that gives an equation's result, where there is one."""
  make = _REPLACEMENTS.get(equation.primitive.name)
  return make(*(each.aval for each in equation.invars), equation.params) if make else None


def _convolution(images: Any, kernel: Any, params: Mapping[str, Any]) -> Callable[..., Any] | None:
  last = images.ndim - 1
  numbers, positions = params["dimension_numbers"], tuple(range(1, last))
  is_channels_last = (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec) == (
    (0, last, *positions),
    (last, last - 1, *range(last - 1)),
    (0, last, *positions),
  )
  is_transposed = math.prod(params["lhs_dilation"]) > 1
  if not (
    is_channels_last
    and images.ndim in (3, 4)
    and jnp.issubdtype(images.dtype, jnp.floating)
    and params["precision"] is None
    and params["preferred_element_type"] in (None, images.dtype)
    and params["batch_group_count"] == 1
    and is_split(params["feature_group_count"], kernel.shape)
    and not (is_transposed and params["feature_group_count"] > MOST_SPLIT_GROUPS)
    and not (is_transposed and math.prod((*params["window_strides"], *params["rhs_dilation"])) > 1)
  ):
    return None
  return lambda lhs, rhs: convolve(
    lhs,
    rhs,
    params["window_strides"],
    params["padding"],
    params["lhs_dilation"],
    params["rhs_dilation"],
    numbers,
    params["feature_group_count"],
  )


def _window(images: Any, params: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
  """Window, strides and padding in pixels; None where other axes are pooled or pixels left out."""
  size, strides, padding = (
    params[name] for name in ("window_dimensions", "window_strides", "padding")
  )
  is_plain = (
    images.ndim == 4
    and jnp.issubdtype(images.dtype, jnp.floating)
    and (size[0], size[3], strides[0], strides[3]) == (1, 1, 1, 1)
    and not any((*padding[0], *padding[3]))
    and math.prod((*params["base_dilation"], *params["window_dilation"])) == 1
  )
  return (size[1:3], strides[1:3], padding[1:3]) if is_plain else None


def _maximum(images: Any, params: Mapping[str, Any]) -> Callable[..., Any] | None:
  window = _window(images, params)
  return None if window is None else lambda x: first_max_pool(x, *window)


def _sum(images: Any, params: Mapping[str, Any]) -> Callable[..., Any] | None:
  window = _window(images, params)
  if window is None:
    return None
  size, strides, padding = window
  is_tiling = size == strides and not any(pad for pair in padding for pad in pair)
  return (lambda x: sum_pool_tiles(x, size)) if is_tiling else None


_REPLACEMENTS: dict[str, Callable[..., Callable[..., Any] | None]] = {
  "conv_general_dilated": _convolution,
  "reduce_window_max": _maximum,
  "reduce_window_sum": _sum,
}
