"""Drawing a stratified part of a data set: a function of the labels, the count and the seed."""

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
