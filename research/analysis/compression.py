"""Compression of a text by file compressors."""

import gzip
import lzma
from collections.abc import Callable
from types import MappingProxyType

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
