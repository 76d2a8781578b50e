"""Coarse-to-fine refinement: each round searches around the best trials of those before.

Along each range the next round goes from the worse trial below the best ones to the worse trial
above them, or to the range's end where there is none: what lies beyond was not tried yet. It is at
most half of the range before. Where the best trial lies at the edge, the range is moved beyond it
instead, as far as the field allows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from research.config import fields
from research.sweep.space import Range, Space

BEST_SHARE = 0.2  # of the trials, and at least three
SMALLEST, LARGEST = 0.1, 0.5  # of the range before
EDGE = 0.1  # of the range: a best trial this close to an end asks for more beyond it


def refined(space: Space, ranked: Sequence[Mapping[str, Any]]) -> tuple[Space, dict[str, str]]:
  """Returns the next round's space, and for each range the decision in words.

  Args:
    space: of the round before.
    ranked: values of the trials before, the best first.
  """
  count = max(3, math.ceil(BEST_SHARE * len(ranked)))
  best, worse = ranked[:count], ranked[count:]
  known = {field.name: field for field in fields(space.config)}
  distributions, decisions = dict(space.distributions), {}
  for name, each in space.distributions.items():
    if not isinstance(each, Range) or not best:
      continue
    places = [each.unit(values[name]) for values in best]
    others = [each.unit(values[name]) for values in worse]
    low = max((place for place in others if place < min(places)), default=0.0)
    high = min((place for place in others if place > max(places)), default=1.0)
    middle = (low + high) / 2
    half = min(max((high - low) / 2, SMALLEST / 2), LARGEST / 2)
    if places[0] < EDGE or places[0] > 1 - EDGE:
      middle, word = places[0], "extended"  # the best one is the middle: half lies beyond it
    else:
      middle = min(max(middle, places[0] - half), places[0] + half)
      middle, word = min(max(middle, half), 1 - half), "narrowed"
    distributions[name] = each.between(middle - half, middle + half, known[name])
    decisions[name] = f"{word} from {each} to {distributions[name]}"
  return space._replace(distributions=distributions), decisions
