"""Parts of a data set, drawn as functions of the seed: stratified by label, or plainly shuffled."""

from collections.abc import Mapping

import numpy as np


def shuffled_order(n: int, seed: int) -> np.ndarray:
  """A permutation of 0 .. n - 1, as int64 [n].

  It is read off the raw words of a bit generator, the one random stream that NumPy promises
  never to change, so that a split stays the same over NumPy's versions.
  """
  return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
  """Marks `count` of the n examples, each class in its proportion, as bool [n].

  Shares are rounded by largest remainder, so that the total is exactly `count` and a class is
  never more than one example away from its exact share.
  """
  classes, class_of = np.unique(labels, return_inverse=True)
  sizes = np.bincount(class_of, minlength=len(classes))
  shares, remainders = np.divmod(count * sizes, max(len(labels), 1))
  rounded_up = np.argsort(-remainders, kind="stable")[: count - shares.sum()]
  shares[rounded_up] += 1

  drawn = np.zeros(len(labels), bool)
  order = shuffled_order(len(labels), seed)
  for class_index, share in enumerate(shares):
    members = order[class_of[order] == class_index]
    drawn[members[:share]] = True
  return drawn


def shuffled_split(
  arrays: Mapping[str, np.ndarray], kept: int, held_out: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Splits the first `kept + held_out` examples in two, in an order drawn by the seed."""
  order = np.random.default_rng(seed).permutation(kept + held_out)
  parts = order[:kept], order[kept:]
  first, second = ({name: array[part] for name, array in arrays.items()} for part in parts)
  return first, second
