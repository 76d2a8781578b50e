"""Sentences compared with what their scenes show, and not with other sentences."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from research.data.captions import Thing, held_out


def right_words(said: Sequence[Thing], there: Sequence[Thing]) -> float:
  """Share of the objects, colours and places that a sentence has right, in the best pairing.

  Each object has three. One that is missed counts as three wrong words, and so does one too many.
  """
  if not said:
    return 0.0
  agree = (np.array(there)[:, None] == np.array(said)[None]).sum(axis=2)
  pairing = linear_sum_assignment(agree, maximize=True)
  return float(agree[pairing].sum()) / (3 * max(agree.shape))


def finds_held_out(
  said: Sequence[Sequence[Thing]], there: Sequence[Sequence[Thing]]
) -> Bool[np.ndarray, " scenes"]:
  """Tells of each scene with an object in its held-out colour if both are said of one object."""
  asked = [next(each for each in own if each.hue == held_out(each.noun)) for own in there]
  pairs = [{(each.noun, each.hue) for each in sentence} for sentence in said]
  return np.array([each[:2] in own for each, own in zip(asked, pairs, strict=True)])


def chance(
  said: Sequence[Sequence[Thing]], there: Sequence[Sequence[Thing]], turns: int = 10
) -> Float[np.ndarray, " scenes"]:
  """Share of right words of each sentence, a mean over the `turns` scenes behind its own."""
  behind = lambda turn: [*there[turn:], *there[:turn]]
  shares = [list(map(right_words, said, behind(turn))) for turn in range(1, turns + 1)]
  return np.mean(shares, axis=0)


def errors_apart(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]) -> float:
  """Distance of the means of paired numbers, in standard errors of their difference."""
  difference = one - other
  if not difference.any():
    return 0.0
  return float(abs(difference.mean()) / (difference.std(ddof=1) / len(difference) ** 0.5))
