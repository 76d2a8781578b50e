"""Compression of a text without a net: by counting, and by file compressors."""

import gzip
import lzma
import math
from collections.abc import Callable, Iterable
from types import MappingProxyType

from research.data.text.vocabulary import Vocabulary, naming_nats
from research.models import ngrams

COMPRESSORS: MappingProxyType[str, Callable[[bytes], bytes]] = MappingProxyType(
  {
    "gzip": lambda data: gzip.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9),
  }
)


def compressed_bits(train: str, test: str) -> dict[str, float]:
  """Bits per character by which each compressor's file grows when `test` is added to `train`."""
  size = lambda compress, text: len(compress(text.encode()))
  return {
    name: 8 * (size(compress, train + test) - size(compress, train)) / len(test)
    for name, compress in COMPRESSORS.items()
  }


def counted_bits(
  characters: Vocabulary, train: str, test: str, orders: Iterable[int]
) -> dict[str, float]:
  """Bits per character of `test` for n-grams counted in `train`, by names such as "5-gram".

  They hold what it takes to name the characters that the vocabulary does not hold.
  """
  naming = float(naming_nats(characters, train, test).mean()) / math.log(2)
  known, unseen = characters.encode(train), characters.encode(test)
  return {
    f"{order}-gram": ngrams.bits(known, unseen, len(characters), order) + naming for order in orders
  }
