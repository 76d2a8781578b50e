"""Error analysis: what the wrong answers have in common, and what curing each of it would bring.

Ng, "Structuring machine learning projects", week 2: look at about a hundred of the dev set's errors
and note for each what is the matter with it, several things where there are several. If half of
the errors are of blurred images, curing blur takes away at most half of the error; if one in twenty
is of a dog, an error of 10 % stays above 9.5 % whatever is done about dogs.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from research.analysis.shares import Count, wilson


class TagRow(NamedTuple):
  """One tag among wrong answers.

  Attributes:
    tag: its name.
    errors: how many of the wrong answers have it.
    share: of the wrong answers.
    low: lower end of the share's 95 % interval (Wilson 1927).
    high: upper end.
    gain: most that curing it takes from the error: the share times the error.
  """

  tag: str
  errors: int
  share: float
  low: float
  high: float
  gain: float


def tag_table(tags: Mapping[str, Bool[np.ndarray, " errors"]], error: float) -> list[TagRow]:
  """Counts the tags of wrong answers, the most frequent one first.

  Args:
    tags: by name, which of the wrong answers have it.
    error: share of wrong answers of the whole set, of which those above may be a sample.

  Raises:
    ValueError: where there is no wrong answer.
  """

  def row(tag: str, has_it: Bool[np.ndarray, " errors"]) -> TagRow:
    count, total = int(has_it.sum()), len(has_it)
    if not total:
      raise ValueError("no wrong answer was looked at")
    share = count / total
    return TagRow(tag, count, share, *wilson(Count(count, total)), share * error)

  return sorted((row(*each) for each in tags.items()), key=lambda row: row.errors, reverse=True)
