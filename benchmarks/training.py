"""Training steps per second here and in PyTorch, side by side on the CPU.

python benchmarks/training.py [--networks=lenet,mlp] [--repeats=5] [--torch_python=PATH]

Each side runs in a process of its own, with the same allocator and the same number of threads, and
the processes take turns (A B A B), so that a neighbour on the machine disturbs all alike. Losses at
equal initial weights and batches are compared first.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from absl import app, flags
from networks import NETWORKS

from research.lab.process import MALLOC

FOLDER = Path(__file__).parent
FLAGS = flags.FLAGS
flags.DEFINE_list("networks", list(NETWORKS), "which networks: " + ", ".join(NETWORKS))
flags.DEFINE_integer("repeats", 5, "turns of each side", lower_bound=1)
flags.DEFINE_enum(
  "work", "step", ["step", "forward"], "a whole training step, or the evaluation of a batch"
)
flags.DEFINE_float("turn_seconds", 2.0, "length of a turn", lower_bound=0.1)
flags.DEFINE_integer(
  "cores", os.cpu_count() or 1, "cores, and so threads, that each side may use", lower_bound=1
)
flags.DEFINE_list(
  "torch_variants",
  ["nchw", "channels_last"],
  "PyTorch's ways, the best of which counts: nchw, channels_last, each also with +compile",
)
flags.DEFINE_string("torch_python", sys.executable, "the Python that has PyTorch")
flags.DEFINE_string("json", "", "file for the results")
flags.register_validator(
  "networks", lambda names: set(names) <= set(NETWORKS), "allowed: " + ", ".join(NETWORKS)
)


class Side:
  """A child process that trains when told."""

  def __init__(self, command: list[str], settings: dict[str, str]):
    environment = os.environ | {"GLIBC_TUNABLES": MALLOC} | settings
    self.process = subprocess.Popen(
      command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # Before its libraries start their threads: they count the cores that they may use.
    os.sched_setaffinity(self.process.pid, range(FLAGS.cores))
    self.turns: list[dict[str, float]] = []
    self.first = self._answer()

  def _answer(self) -> dict[str, Any]:
    assert self.process.stdout is not None
    for line in self.process.stdout:
      if line.startswith("{"):
        return json.loads(line)
    raise RuntimeError(f"{self.process.args} ended without an answer")

  def turn(self) -> None:
    """Trains for one turn."""
    assert self.process.stdin is not None
    self.process.stdin.write("go\n")
    self.process.stdin.flush()
    self.turns.append(self._answer())

  def close(self) -> None:
    """Ends the process."""
    self.process.communicate()

  def summary(self) -> dict[str, Any]:
    """Medians over the turns, beside what was measured at the start."""
    median = {key: statistics.median(turn[key] for turn in self.turns) for key in self.turns[0]}
    best = max(turn["steps_per_second"] for turn in self.turns)
    return self.first | median | {"best_steps_per_second": best}


def take_turns(sides: Sequence[Side]) -> None:
  """Lets each train in its turn, as often as is asked for, and ends them."""
  for _ in range(FLAGS.repeats):
    for side in sides:
      side.turn()
  for side in sides:
    side.close()


def ratio(ours: Side, theirs: Side) -> float:
  """How often as fast we are: the median over neighbouring turns.

  So a slow minute of the machine counts for both.
  """
  return statistics.median(
    a["steps_per_second"] / b["steps_per_second"]
    for a, b in zip(ours.turns, theirs.turns, strict=True)
  )


def table_row(title: str, script: str, subject: str, decimals: int) -> str:
  """Measures two sides that know no variants: a row of `print_table`.

  Args:
    title: of the row.
    script: that there is as jax_NAME.py and as torch_NAME.py.
    subject: the sides' first argument.
    decimals: of the steps per second.
  """
  with tempfile.TemporaryDirectory() as folder:
    arguments = [subject, str(FLAGS.turn_seconds), str(Path(folder) / "shared.npz")]
    jax = [sys.executable, str(FOLDER / f"jax_{script}.py"), *arguments]
    torch = [FLAGS.torch_python, str(FOLDER / f"torch_{script}.py"), *arguments, str(FLAGS.cores)]
    sides = [Side(jax, {"JAX_PLATFORMS": "cpu"}), Side(torch, {})]
    take_turns(sides)
  ours, theirs = (side.summary() for side in sides)
  processor = theirs["processor_seconds_per_step"] / ours["processor_seconds_per_step"]
  difference = max(abs(a - b) / b for a, b in zip(ours["losses"], theirs["losses"], strict=True))
  cells = [title]
  for side in (ours, theirs):
    usual, best = side["steps_per_second"], side["best_steps_per_second"]
    cells.append(f"{usual:.{decimals}f} ({best:.{decimals}f})")
  cells += [f"{ratio(*sides):.2f}", f"{processor:.2f}", f"{difference:.0e}"]
  return f"| {' | '.join(cells)} |"


def print_table(subject: str, rows: Iterable[str]) -> None:
  """Prints rows of `table_row` as they come: medians of the turns, the best turn in brackets."""
  columns = (subject, "JAX", "PyTorch", "ratio", "by processor time", "losses differ by")
  print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
  for row in rows:
    print(row, flush=True)


def compare(name: str) -> dict[str, Any]:
  """Measures both sides of one network."""
  with tempfile.TemporaryDirectory() as folder:
    shared = str(Path(folder) / "weights.npz")
    arguments = [name, str(FLAGS.turn_seconds), shared, FLAGS.work]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "xla"), "JAX_PLATFORMS": "cpu"}
    start = lambda: Side([sys.executable, str(FOLDER / "jax_side.py"), *arguments], cache)
    cold = start()
    cold.close()
    sides = {"jax": start()}
    for variant in FLAGS.torch_variants:
      command = [FLAGS.torch_python, str(FOLDER / "torch_side.py"), *arguments, variant]
      sides[variant] = Side([*command, str(FLAGS.cores)], {})
    take_turns(list(sides.values()))
  results = {title: side.summary() for title, side in sides.items()}
  ours = results["jax"]
  ours["cold_compile_seconds"] = cold.first["compile_seconds"]
  ours["cold_first_step_seconds"] = cold.first["first_step_seconds"]
  variant = max(FLAGS.torch_variants, key=lambda title: results[title]["steps_per_second"])
  theirs = results[variant]
  difference = max(
    abs(a - b) / abs(b) for a, b in zip(ours["losses"], theirs["losses"], strict=True)
  )
  processor = lambda side: statistics.median(
    turn["processor_seconds_per_step"] for turn in side.turns
  )
  return {
    "network": name,
    "processor_ratio": processor(sides[variant]) / processor(sides["jax"]),
    "variant": variant,
    "ratio": ratio(sides["jax"], sides[variant]),
    "best_ratio": ours["best_steps_per_second"]
    / max(results[title]["best_steps_per_second"] for title in FLAGS.torch_variants),
    "loss_difference": difference,
    "load_average": os.getloadavg()[0],
    "sides": results,
  }


def row(result: dict[str, Any]) -> str:
  """One line of the table."""
  ours, theirs = result["sides"]["jax"], result["sides"][result["variant"]]
  cells = [
    f"{NETWORKS[result['network']].title}, {NETWORKS[result['network']].batch_size}",
    f"{ours['steps_per_second']:.1f} ({ours['best_steps_per_second']:.1f})",
    f"{theirs['steps_per_second']:.1f} ({theirs['best_steps_per_second']:.1f})",
    result["variant"],
    f"{result['ratio']:.2f} ({result['best_ratio']:.2f})",
    f"{result['processor_ratio']:.2f}",
    f"{ours['operations'] * ours['steps_per_second'] / 1e9:.0f}",
    f"{ours['cold_compile_seconds']:.1f} / {ours['compile_seconds']:.1f}",
    f"{ours['cold_first_step_seconds']:.1f} / {ours['first_step_seconds']:.1f}",
    f"{theirs['first_step_seconds']:.1f}",
    f"{ours['peak_memory_mb']:.0f} / {theirs['peak_memory_mb']:.0f}",
    f"{result['loss_difference']:.0e}",
    f"{result['load_average']:.1f}",
  ]
  return "| " + " | ".join(cells) + " |"


NOTE = """\
Matrix products of 2048 x 2048 here: {:.0f} GFLOP/s.
Steps per second are medians of the turns (the best turn in brackets), seconds are with a cold /
warm compilation cache, MB are the whole process's peak.
"""
COLUMNS = (
  "network, batch",
  "JAX",
  "PyTorch",
  "its best way",
  "ratio",
  "by processor time",
  "JAX's GFLOP/s",
  "compile s",
  "first step s",
  "PyTorch's",
  "MB JAX / PyTorch",
  "losses differ by",
  "load",
)


def matrix_product_rate() -> float:
  """The best of ten products of 2048 x 2048 by NumPy's BLAS, in GFLOP/s."""
  command = (
    "import numpy, time; a = numpy.ones((2048, 2048), numpy.float32); times = []\n"
    "for _ in range(10):\n"
    "  start = time.perf_counter(); a @ a; times.append(time.perf_counter() - start)\n"
    "print(2 * 2048**3 / min(times) / 1e9)"
  )
  cores = ["taskset", "-c", f"0-{FLAGS.cores - 1}"]
  return float(subprocess.check_output([*cores, sys.executable, "-c", command], text=True))


def main(_: list[str]) -> None:
  """Measures and prints."""
  print(NOTE.format(matrix_product_rate()))
  print("| " + " | ".join(COLUMNS) + " |")
  print("|" + "---|" * len(COLUMNS), flush=True)
  results = []
  for name in FLAGS.networks:
    results.append(compare(name))
    print(row(results[-1]), flush=True)
  if FLAGS.json:
    Path(FLAGS.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
  app.run(main)
