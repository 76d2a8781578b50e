"""BLEU: n-gram precision of a text against its references, in d2l's form and in Papineni's."""

import collections
import functools
import math
import operator
from collections.abc import Sequence

import numpy as np

Tokens = Sequence[str]


def matches(candidate: Tokens, references: Sequence[Tokens], n: int) -> int:
  """n-grams of the candidate that a reference has as well, each as often as one of them has it."""
  known = functools.reduce(operator.or_, (_ngrams(reference, n) for reference in references))
  return sum((_ngrams(candidate, n) & known).values())


def d2l_bleu(candidate: Tokens, reference: Tokens, k: int = 2) -> float:
  """exp(min(0, 1 - |reference| / |candidate|)) prod_n p_n^(1/2^n), n = 1..k; d2l, section 10.7.

  Orders for which the candidate is too short do not count as precisions of zero: k becomes the
  candidate's length. An empty candidate scores 0.
  """
  if not candidate:
    return 0.0
  score = math.exp(min(0.0, 1 - len(reference) / len(candidate)))
  for n in range(1, min(k, len(candidate)) + 1):
    precision = matches(candidate, [reference], n) / (len(candidate) - n + 1)
    score *= precision ** (0.5**n)
  return score


def corpus_bleu(
  candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], most: int = 4
) -> float:
  """Papineni et al. 2002, section 2.3: counts summed over the corpus, equal weights, in [0, 1].

  Equal to sacrebleu's without smoothing: 0 where an order has no match at all. Of a candidate's
  references the one nearest in length counts for the brevity penalty, of two the shorter one.

  Args:
    candidates: the texts that are judged.
    references: those of each candidate, one or more.
    most: the longest n-grams.
  """
  pairs = list(zip(candidates, references, strict=True))
  written = sum(map(len, candidates))
  asked = sum(
    min((abs(len(own) - len(candidate)), len(own)) for own in known)[1]
    for candidate, known in pairs
  )
  logs = 0.0
  for n in range(1, most + 1):
    found = sum(matches(candidate, known, n) for candidate, known in pairs)
    possible = sum(max(0, len(candidate) - n + 1) for candidate in candidates)
    if not found:
      return 0.0
    logs += math.log(found / possible) / most
  return math.exp(min(0.0, 1 - asked / written) + logs)


def _ngrams(tokens: Tokens, n: int) -> collections.Counter[tuple[str, ...]]:
  return collections.Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def mean_d2l_bleu(texts: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
  """Mean of `d2l_bleu` over the sentences."""
  return float(np.mean([d2l_bleu(*both) for both in zip(texts, references, strict=True)]))
