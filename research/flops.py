"""Counts the floating-point operations of a program from its jaxpr, without compiling it."""

import math
from collections.abc import Iterator
from typing import Any

import jax.extend.core as jex


def flops(jaxpr: Any) -> int:
  """Multiplications and additions in matrix products and convolutions, loops multiplied out.

  A `while` counts once, since its length is not known; element-wise work is left out, as it is
  small beside the products in a network worth counting.
  """
  total = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      left, out = equation.invars[0].aval.shape, equation.outvars[0].aval
      total += 2 * math.prod(out.shape) * math.prod(left[axis] for axis in contracted)
    elif equation.primitive.name == "conv_general_dilated":
      kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval
      features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
      total += 2 * math.prod(out.shape) * math.prod(kernel) // features
    else:
      times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
      total += times * sum(flops(inner) for inner in inner_programs(equation.params))
  return total


def inner_programs(params: dict[str, Any]) -> Iterator[jex.Jaxpr]:
  """Yields the programs that an equation holds, such as the body of a loop."""
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, jex.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, jex.Jaxpr):
        yield item
