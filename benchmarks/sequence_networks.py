"""The sequence nets that both sides train: names, batches, tokens. Imports neither side."""

from typing import NamedTuple


class Network(NamedTuple):
  """A net to compare; `places` are the tokens of a source, if it has one, and of a target."""

  title: str
  batch_size: int
  places: tuple[int, int]


NETWORKS = {
  "lstm": Network("LSTM of 256 units, 35 characters", 32, (0, 36)),
  "transformer": Network("Transformer, 2 + 2 layers of 128, 16 to 17 tokens", 64, (16, 18)),
}
VOCABULARY = 128  # the tokens are random numbers from 1 on, since 0 is padding
EMBEDDING, UNITS = 64, 256  # of the LSTM
LAYERS, FEATURES, HEADS, HIDDEN, LONGEST = 2, 128, 4, 256, 32  # of the Transformer
EXAMPLES = 4096
