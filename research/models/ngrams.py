"""An n-gram model with interpolated Kneser-Ney smoothing: what counting knows of a text.

Kneser and Ney 1995, in the interpolated form of Chen and Goodman 1999, section 3: every count loses
a discount D, and what is taken goes to the model with one token of context less. There a token
counts by how many different tokens it follows, not by how often: "Francisco" is frequent and
follows one word.
"""

import math
from typing import NamedTuple

import numpy as np


class Order(NamedTuple):
  """Counts of n-grams, and of the contexts that begin them.

  Attributes:
    ngrams: codes of the n-grams that occur, ascending.
    counts: of each.
    contexts: codes of their first n - 1 tokens, ascending.
    totals: sum of counts behind each context.
    kinds: how many different tokens follow each context.
    discount: what a count loses.
  """

  ngrams: np.ndarray
  counts: np.ndarray
  contexts: np.ndarray
  totals: np.ndarray
  kinds: np.ndarray
  discount: float


class NGrams(NamedTuple):
  """Orders 1 to n over a vocabulary of so many tokens."""

  vocabulary: int
  orders: tuple[Order, ...]


def count(tokens: np.ndarray, vocabulary: int, most: int) -> NGrams:
  """Counts n-grams of up to `most` tokens; the text is thought to follow tokens 0.

  Raises ValueError where codes of so many tokens do not fit into 63 bits, or there is no text.
  """
  if vocabulary**most >= 2**63:
    raise ValueError(f"n-grams of {most} among {vocabulary} tokens are too many to number")
  if not len(tokens):
    raise ValueError("no n-gram can be counted in an empty text")
  ngrams, counts = np.unique(_codes(tokens, vocabulary, most), return_counts=True)
  orders = [_order(ngrams, counts, vocabulary)]
  for length in range(most - 1, 0, -1):
    ngrams, counts = np.unique(ngrams % vocabulary**length, return_counts=True)
    orders.append(_order(ngrams, counts, vocabulary))
  return NGrams(vocabulary, tuple(reversed(orders)))


def log_likelihoods(model: NGrams, tokens: np.ndarray) -> np.ndarray:
  """Log-probability in nats of each token after those before it; the text follows tokens 0."""
  codes = _codes(tokens, model.vocabulary, len(model.orders))
  probability = np.full(len(tokens), 1 / model.vocabulary)
  for length, order in enumerate(model.orders, 1):
    ngram = codes % model.vocabulary**length
    context = ngram // model.vocabulary
    counts = _find(order.ngrams, order.counts, ngram)
    totals = _find(order.contexts, order.totals, context)
    kinds = _find(order.contexts, order.kinds, context)
    interpolated = np.maximum(counts - order.discount, 0) + order.discount * kinds * probability
    probability = np.where(totals > 0, interpolated / np.maximum(totals, 1), probability)
  return np.log(probability)


def bits(known: np.ndarray, unseen: np.ndarray, vocabulary: int, most: int) -> float:
  """Bits per token of an unseen text, for the model of up to `most` tokens of a known one."""
  return float(-log_likelihoods(count(known, vocabulary, most), unseen).mean() / math.log(2))


def _codes(tokens: np.ndarray, vocabulary: int, length: int) -> np.ndarray:
  """The n-gram that ends at each token, read as a number with the vocabulary as its base."""
  padded = np.concatenate([np.zeros(length - 1, np.int64), np.asarray(tokens, np.int64)])
  windows = np.lib.stride_tricks.sliding_window_view(padded, length)
  return windows @ (np.int64(vocabulary) ** np.arange(length - 1, -1, -1))


def _order(ngrams: np.ndarray, counts: np.ndarray, vocabulary: int) -> Order:
  contexts, place, kinds = np.unique(ngrams // vocabulary, return_inverse=True, return_counts=True)
  totals = np.bincount(place, counts)
  once, twice = (int(np.sum(counts == times)) for times in (1, 2))
  discount = once / (once + 2 * twice) if once else 0.5  # Ney et al. 1994
  return Order(ngrams, counts, contexts, totals, kinds, discount)


def _find(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
  """The values that stand at the wanted keys, 0 where there is no such key."""
  place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
  return np.where(keys[place] == wanted, values[place], 0)
