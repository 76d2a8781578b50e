"""Images evaluated a second in style transfer, here and in PyTorch, side by side.

python benchmarks/style.py [--sizes=96,128] [--repeats=5] [--cores=1] [--torch_python=PATH]

As `training.py`, whose flags it takes. A step is the loss of one picture, the gradient of its
pixels and an update of Adam; the network, what is matched and the first picture are the same, and
so the losses of the first steps are compared.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app, flags
from training import FLAGS, FOLDER, Side, ratio, take_turns

flags.DEFINE_list("sizes", ["96", "128"], "pixels on a side")
COLUMNS = ("pixels", "JAX", "PyTorch", "ratio", "by processor time", "losses differ by")


def compare(size: str) -> str:
  """Measures both sides at one size: a row of the table."""
  with tempfile.TemporaryDirectory() as folder:
    arguments = [size, str(FLAGS.turn_seconds), str(Path(folder) / "style.npz")]
    jax = [sys.executable, str(FOLDER / "jax_style.py"), *arguments]
    torch = [FLAGS.torch_python, str(FOLDER / "torch_style.py"), *arguments, str(FLAGS.cores)]
    sides = [Side(jax, {"JAX_PLATFORMS": "cpu"}), Side(torch, {})]
    take_turns(sides)
  ours, theirs = (side.summary() for side in sides)
  processor = theirs["processor_seconds_per_step"] / ours["processor_seconds_per_step"]
  difference = max(abs(a - b) / b for a, b in zip(ours["losses"], theirs["losses"], strict=True))
  shown = lambda side: f"{side['steps_per_second']:.2f} ({side['best_steps_per_second']:.2f})"
  cells = (
    f"{size} x {size}",
    shown(ours),
    shown(theirs),
    f"{ratio(*sides):.2f}",
    f"{processor:.2f}",
    f"{difference:.0e}",
  )
  return f"| {' | '.join(cells)} |"


def main(_: list[str]) -> None:
  """Measures and prints: medians of the turns, the best turn in brackets."""
  print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
  for size in FLAGS.sizes:
    print(compare(size), flush=True)


if __name__ == "__main__":
  app.run(main)
