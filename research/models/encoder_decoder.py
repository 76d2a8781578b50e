"""The encoders and decoders that experiments compare: GRUs and Transformers, by their names."""

from typing import Any

import flax.linen as nn

from research.models.seq2seq import Seq2Seq
from research.models.transformer import Transformer

HEADS = 4  # of the Transformers
NETS = ("GRU", "GRU with attention", "Transformer", "Transformer without positions")


def encoder_decoder(
  config: Any,
  vocabularies: tuple[int, int],
  longest: int,
  *,
  bidirectional: bool = True,
  backwards: bool = False,
) -> nn.Module:
  """A GRU layer on either side, or a Transformer of four heads with norms before the sublayers.

  These fields of the config are read by their names:

    net: one of `NETS`.
    embedding, hidden: features of a token and units of the recurrent nets.
    features: of a token in the Transformers, whose feed-forward nets have twice as many units.
    layers: of the Transformers' encoder and decoder; 2 where the config has no such field.
    dropout: rate in the Transformers; 0 where the config has no such field.

  Args:
    config: the experiment's.
    vocabularies: tokens of the source and of the target, 0 being padding.
    longest: places for which the Transformer has positions.
    bidirectional: whether the recurrent encoder reads in both directions.
    backwards: whether one that reads in one direction does so from the end.
  """
  if config.net.startswith("GRU"):
    attention = config.net == "GRU with attention"
    ways = {"attention": attention, "bidirectional": bidirectional, "backwards": backwards}
    return Seq2Seq(*vocabularies, config.embedding, config.hidden, **ways)
  sizes = (getattr(config, "layers", 2), config.features, HEADS, 2 * config.features, longest)
  more = {"positions": config.net == "Transformer", "dropout": getattr(config, "dropout", 0.0)}
  return Transformer(*vocabularies, *sizes, pre_norm=True, **more)
