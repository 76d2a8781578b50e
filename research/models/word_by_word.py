"""A dictionary learnt from sentence pairs, and translation word by word (Brown et al. 1993).

Model 1: every target word was put there by one source word, all alike likely, or by none. Which
did is not known, so expectation and maximisation take turns: the share of each source word in each
target word, then the dictionary that these shares amount to. Their likelihood has one maximum.
"""

from collections.abc import Iterable, Sequence

import numpy as np

NOTHING = ""  # stands beside the source words, for target words that no source word explains


def learn(pairs: Iterable[tuple[Sequence[str], Sequence[str]]], rounds: int = 10) -> dict[str, str]:
  """The likeliest target word for every source word, from sentences with their translations."""
  links: dict[tuple[str, str], int] = {}
  link, target_place, places = [], [], 0
  for source, target in pairs:
    for word in target:
      for read in (NOTHING, *source):
        link.append(links.setdefault((read, word), len(links)))
        target_place.append(places)
      places += 1
  names: dict[str, int] = {}
  source_of = np.array([names.setdefault(read, len(names)) for read, _ in links])
  likelihood = np.ones(len(links))
  for _ in range(rounds):
    share = likelihood[link] / np.bincount(target_place, likelihood[link])[target_place]
    expected = np.bincount(link, share)
    likelihood = expected / np.bincount(source_of, expected)[source_of]
  best: dict[str, tuple[float, str]] = {}
  for (read, word), value in zip(links, likelihood, strict=True):
    if value > best.get(read, (0.0, ""))[0]:
      best[read] = value, word
  return {read: word for read, (_, word) in best.items()}


def translate(dictionary: dict[str, str], sentence: Iterable[str]) -> list[str]:
  """Each word by the dictionary's; what it does not know stays as it is."""
  return [dictionary.get(word, word) for word in sentence]
