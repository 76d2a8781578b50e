"""Population based training (Jaderberg et al. 2017): exploit by copying, explore by perturbing.

Exploit by truncation, as in section 4.1.1 of the paper: a member of the worst fifth takes over
state and values of one of the best fifth. Explore by perturbation: each number by 1.2 or 0.8.
At least one member is replaced, by one, and every member that diverged; none of these is copied.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.sweep.space import Range, Space

SHARE = 0.2
FACTORS = (0.8, 1.2)
GENERATIONS = 10  # in a whole training


class Copy(NamedTuple):
  """A member's new state and values, taken from another."""

  to: int
  source: int
  values: dict[str, Any]


def is_ready(interval: int, intervals: int) -> bool:
  """Tells whether members are compared after this interval; not after the last."""
  return interval % max(1, intervals // GENERATIONS) == 0 and interval < intervals


def copies(
  space: Space, seed: int, interval: int, scores: Mapping[int, float], values: Sequence[Mapping]
) -> list[Copy]:
  """Decides which members copy which others, as a function of the arguments alone.

  Args:
    space: its ranges bound the new values.
    seed: of the sweep.
    interval: after which members are compared.
    scores: by member; larger is better, and -inf is a member that diverged.
    values: by member.
  """
  ranked = sorted(scores, key=lambda member: (-scores[member], member))
  count = max(1, int(SHARE * len(ranked)))
  sources = [member for member in ranked[:count] if math.isfinite(scores[member])]
  lost = [member for member in ranked if not math.isfinite(scores[member])]
  replaced = {*ranked[len(ranked) - count :], *lost} - {*sources}
  draw = np.random.default_rng((seed, interval))
  made = []
  for member in sorted(replaced) if sources else []:
    source = int(draw.choice(sorted(sources)))
    varied = {
      name: perturbed(each, values[source][name], float(draw.choice(FACTORS)))
      for name, each in space.distributions.items()
      if isinstance(each, Range)
    }
    made.append(Copy(member, source, dict(values[source]) | varied))
  return made


def perturbed(distribution: Range, value: float, factor: float) -> float:
  """Multiplies a value by the factor, within the range; oneminus scales the distance from 1."""
  new = 1 - (1 - value) / factor if distribution.scale == "oneminus" else value * factor
  new = min(max(new, distribution.low), distribution.high)
  return round(new) if distribution.whole else new
