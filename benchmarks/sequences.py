"""Training steps per second of an LSTM and a Transformer, here and in PyTorch, side by side.

python benchmarks/sequences.py [--repeats=5] [--cores=2] [--torch_python=PATH]

As `training.py`, whose flags it takes: a process for each side, equal allocators, threads, weights
and batches, turns taken one after the other, and the losses of the first steps compared.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app
from sequence_networks import NETWORKS
from training import FLAGS, FOLDER, Side, ratio, take_turns

COLUMNS = ("network, batch", "JAX", "PyTorch", "ratio", "by processor time", "losses differ by")


def compare(name: str) -> str:
  """Measures both sides of one net: a row of the table."""
  with tempfile.TemporaryDirectory() as folder:
    arguments = [name, str(FLAGS.turn_seconds), str(Path(folder) / "weights.npz")]
    jax = [sys.executable, str(FOLDER / "jax_sequences.py"), *arguments]
    torch = [FLAGS.torch_python, str(FOLDER / "torch_sequences.py"), *arguments, str(FLAGS.cores)]
    sides = [Side(jax, {"JAX_PLATFORMS": "cpu"}), Side(torch, {})]
    take_turns(sides)
  ours, theirs = (side.summary() for side in sides)
  processor = theirs["processor_seconds_per_step"] / ours["processor_seconds_per_step"]
  difference = max(abs(a - b) / b for a, b in zip(ours["losses"], theirs["losses"], strict=True))
  shown = lambda side: f"{side['steps_per_second']:.1f} ({side['best_steps_per_second']:.1f})"
  cells = (
    f"{NETWORKS[name].title}, {NETWORKS[name].batch_size}",
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
  for name in NETWORKS:
    print(compare(name), flush=True)


if __name__ == "__main__":
  app.run(main)
