"""Training steps per second of an LSTM and a Transformer, here and in PyTorch, side by side.

python benchmarks/sequences.py [--repeats=5] [--cores=2] [--torch_python=PATH]

As `training.py`, whose flags it takes: a process for each side, equal allocators, threads, weights
and batches, turns taken one after the other, and the losses of the first steps compared.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app
from sequence_networks import NETWORKS
from training import print_table, table_row


def main(_: list[str]) -> None:
  """Measures and prints."""
  title = lambda net: f"{net.title}, {net.batch_size}"
  nets = NETWORKS.items()
  print_table("network, batch", (table_row(title(n), "sequences", name, 1) for name, n in nets))


if __name__ == "__main__":
  app.run(main)
