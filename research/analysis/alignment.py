"""Maps of where a trained decoder looks in the source, under the names of the tokens."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import numpy as np

from research.data.text.vocabulary import END
from research.figures.attention_maps import Map
from research.models.decoding import looks
from research.training import HostData

Decode = Callable[[np.ndarray], list[str]]


def decoder_maps(
  model: nn.Module, params: Any, pairs: HostData, read: Decode, written: Decode
) -> list[Map]:
  """Attention of a decoder that is led through the targets, a map for each pair, marks left out.

  Args:
    model: an encoder and decoder that attends.
    params: its parameters.
    pairs: "source" [n, s] and "target" [n, t] as tokens, of which 0 is padding.
    read: gives the names of the source's tokens.
    written: gives those of the target's.
  """
  names = lambda decode, row: [" ".join(decode(token[None])) for token in row if token > END]
  weights = looks(model, params, pairs["source"], pairs["target"])
  rows = zip(weights, pairs["source"], pairs["target"], strict=True)
  return [Map(shown, names(read, source), names(written, target)) for shown, source, target in rows]
