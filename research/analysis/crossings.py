"""The place where one falling curve passes below another one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def crossing(
  x: Sequence[float] | Float[np.ndarray, " point"],
  early: Sequence[float] | Float[np.ndarray, " point"],
  late: Sequence[float] | Float[np.ndarray, " point"],
) -> float:
  """The place from which on `late` lies below `early`, on a logarithmic axis.

  Between two points, the difference of the curves is a straight line over log x.

  Args:
    x: above 0 and rising.
    early: values of the curve that is lower at first.
    late: those of the curve that is lower at last.

  Returns:
    x of the last crossing; NaN where `late` is below `early` from the first point on, or is not
    below it at the last one.
  """
  ahead = np.asarray(late, float) - np.asarray(early, float)
  (behind,) = np.nonzero(ahead >= 0)
  if not len(behind) or behind[-1] == len(ahead) - 1:
    return float("nan")
  left = behind[-1]
  share = ahead[left] / (ahead[left] - ahead[left + 1])
  ends = np.log(np.asarray(x, float)[left : left + 2])
  return float(np.exp(ends[0] + share * (ends[1] - ends[0])))
