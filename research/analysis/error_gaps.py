"""The gaps between five errors of a classifier, and what each of them says to try next.

Ng, "Structuring machine learning projects", weeks 1 and 2: the errors at human level, on the
training set, on more examples like those (the train-dev set), on examples like those to come (the
dev set), and on others of them that nothing was chosen by (the test set). Avoidable bias asks for a
larger network, a longer training or another architecture; variance for more training data,
regularisation or another architecture; data mismatch for training data that are more like the dev
set's, or made to be; an over-used dev set for a larger one.
"""

import itertools
from typing import NamedTuple

BIAS, VARIANCE = "avoidable bias", "variance"
MISMATCH, OVERUSED = "data mismatch", "over-used dev set"
GAPS = (BIAS, VARIANCE, MISMATCH, OVERUSED)


class Errors(NamedTuple):
  """Shares of wrong answers, in the course's order.

  Attributes:
    human: of people, or the least that is possible.
    train: on the training set.
    train_dev: on more data drawn as the training set was, which were not learned from.
    dev: on data such as will be asked about, by which settings are chosen.
    test: on more of those, by which nothing was chosen.
  """

  human: float
  train: float
  train_dev: float
  dev: float
  test: float


def gaps(errors: Errors) -> dict[str, float]:
  """Each error less the one before it, by what the gap is called; negative ones are chance."""
  rises = (after - before for before, after in itertools.pairwise(errors))
  return dict(zip(GAPS, rises, strict=True))


def largest_gap(errors: Errors) -> str:
  """The name of the gap to work on first, one of `GAPS`."""
  found = gaps(errors)
  return max(found, key=lambda name: found[name])
