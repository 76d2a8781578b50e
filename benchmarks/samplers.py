"""How well the samplers search: the 24 BBOB functions of COCO, each sampler beside random search.

    pip install coco-experiment -e '.[sweep]'
    python benchmarks/samplers.py --samplers=random,halton,sobol,tpe,cmaes

The functions (Hansen et al. 2009) cover smooth, badly scaled, rugged and weakly structured
landscapes on [-5, 5]^5, each shifted and rotated anew by its instance; seed s searches instance s.
What is compared is the gap between the best of all evaluations and the function's known minimum, in
powers of ten. Prints the table of benchmarks/README.md; `--json` keeps every gap.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cocoex
import numpy as np

from research.sweep.search import SAMPLERS, Finished, suggest
from research.sweep.space import Range, Space

FUNCTIONS = 24
FLOOR = 1e-8  # COCO's own: a smaller gap counts as solved


def log_gap(sampler: str, function: int, seed: int, dimension: int, evaluations: int) -> float:
  """log10 of what is left between the best evaluation and the minimum."""
  instance = seed + 1
  suite = cocoex.Suite("bbob", f"instances:{instance}", f"dimensions:{dimension}")
  problem = suite.get_problem_by_function_dimension_instance(function, dimension, instance)
  minimum = cocoex.BareProblem("bbob", function, dimension, instance).best_value()
  names = [f"x{axis}" for axis in range(dimension)]
  space = Space(None, {name: Range("linear", -5.0, 5.0) for name in names})
  finished: list[Finished] = []
  for number in range(evaluations):
    values = suggest(sampler, space, seed, number, finished, evaluations)
    finished.append(Finished(number, values, -problem([values[name] for name in names])))
  return math.log10(max(-max(trial.score for trial in finished) - minimum, FLOOR))


def table(gaps: dict[str, np.ndarray], seconds: dict[str, float]) -> str:
  """One row a sampler; gaps are [function, seed]."""
  means = {sampler: each.mean(axis=1) for sampler, each in gaps.items()}
  stacked = np.stack(list(means.values()))
  ranks = dict(zip(means, stacked.argsort(axis=0).argsort(axis=0) + 1, strict=True))
  lines = [
    "| sampler | median gap against random's | quartiles | better than random | median rank "
    "| ms a suggestion |",
    "|---|---|---|---|---|---|",
  ]
  for sampler, mean in means.items():
    ratio = 10 ** (mean - means["random"])
    low, median, high = np.quantile(ratio, (0.25, 0.5, 0.75))
    lines.append(
      f"| {sampler} | {median:.2f} | {low:.2f} to {high:.2f} "
      f"| {int((ratio < 1).sum())} of {len(ratio)} | {np.median(ranks[sampler]):g} "
      f"| {seconds[sampler] * 1e3:.1f} |"
    )
  return "\n".join(lines)


def main() -> None:
  """Runs all and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    "--samplers", default="random,halton,sobol,tpe,cmaes", help=",".join(SAMPLERS)
  )
  parser.add_argument("--dimension", type=int, default=5)
  parser.add_argument("--evaluations", type=int, default=60)
  parser.add_argument("--seeds", type=int, default=5)
  parser.add_argument("--json", type=Path, help="where to keep every gap")
  options = parser.parse_args()
  samplers = list(dict.fromkeys(["random", *options.samplers.split(",")]))
  gaps, seconds = {}, {}
  for sampler in samplers:
    start = time.process_time()
    gaps[sampler] = np.array(
      [
        [
          log_gap(sampler, function, seed, options.dimension, options.evaluations)
          for seed in range(options.seeds)
        ]
        for function in range(1, FUNCTIONS + 1)
      ]
    )
    asked = FUNCTIONS * options.seeds * options.evaluations
    seconds[sampler] = (time.process_time() - start) / asked
    print(f"{sampler}: {time.process_time() - start:.0f} s of processor time", file=sys.stderr)
  print(table(gaps, seconds))
  if options.json:
    options.json.write_text(json.dumps({name: each.tolist() for name, each in gaps.items()}))


if __name__ == "__main__":
  main()
