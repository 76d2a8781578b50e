"""Images evaluated a second in style transfer, here and in PyTorch, side by side.

python benchmarks/style.py [--sizes=96,128] [--repeats=5] [--cores=1] [--torch_python=PATH]

As `training.py`, whose flags it takes. A step is the loss of one picture, the gradient of its
pixels and an update of Adam; the network, what is matched and the first picture are the same, and
so the losses of the first steps are compared.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app, flags
from training import FLAGS, print_table, table_row

flags.DEFINE_list("sizes", ["96", "128"], "pixels on a side")


def main(_: list[str]) -> None:
  """Measures and prints."""
  sizes = FLAGS.sizes
  print_table("pixels", (table_row(f"{size} x {size}", "style", size, 2) for size in sizes))


if __name__ == "__main__":
  app.run(main)
