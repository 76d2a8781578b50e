"""Threshold units, and the gates that one or two of them make (Saito 2016, chapter 2)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float


class Unit(NamedTuple):
  """A threshold unit: 1 where weights . x + bias > 0, else 0."""

  weights: Sequence[float] | Float[Array, " inputs"]
  bias: float | Float[Array, ""]


def fire(unit: Unit, *inputs: Any) -> Any:
  """The unit's answers, 0 or 1, over arrays of any shape, of NumPy or of JAX."""
  total = sum(w * x for w, x in zip(unit.weights, inputs, strict=True)) + unit.bias
  return (total > 0).astype(int)


AND = Unit((0.5, 0.5), -0.7)
NAND = Unit((-0.5, -0.5), 0.7)
OR = Unit((0.5, 0.5), -0.2)
ROWS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
TABLES = {"AND": (0, 0, 0, 1), "NAND": (1, 1, 1, 0), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}
