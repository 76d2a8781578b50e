"""Random search against a grid, where one of two parameters matters (R08).

Bergstra and Bengio 2012, "Random search for hyper-parameter optimization", figure 1. With 25
evaluations a 5 x 5 grid tries 5 values of the parameter that matters, random search 25, and it need
not be known which one that is. Where both matter alike nothing is gained. The samplers are those of
`--sweep`; `search_scales` compares the scales on which they draw.

    python launch.py --experiment=random_against_grid

Expected: a third of the grid's distance to the best value, as the formula says; about 10 seconds.
"""

import numpy as np

import research as ln
from research.sweep.search import suggest
from research.sweep.space import Range, Space

SAMPLERS = ("grid", "random", "halton")
SQUARE = Space(None, {name: Range("linear", 0.0, 1.0) for name in ("important", "other")})


@ln.pytree_config
class Config:
  """Settings of the searches."""

  functions: int = ln.static(400, "objectives, each with its best point elsewhere", at_least=2)
  evaluations: int = ln.static(25, "evaluations of each of them", at_least=4)


def points(sampler: str, seed: int, evaluations: int) -> np.ndarray:
  """The points at which a search of the unit square evaluates, [evaluations, 2]."""
  trials = (suggest(sampler, SQUARE, seed, n, [], evaluations) for n in range(evaluations))
  return np.array([list(trial.values()) for trial in trials])


def losses(config: Config, sampler: str, best: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Loss of the best evaluation for each objective, weighted distance to its best point [n, 2]."""
  return np.array(
    [
      np.min(np.abs(points(sampler, seed, config.evaluations) - place) @ weights)
      for seed, place in enumerate(best)
    ]
  )


def distance_by_formula(evaluations: int) -> float:
  """Mean distance from a uniform place in [0, 1] to the nearest of so many uniform points.

  The integral over place and distance r of the chance that all points are farther away than r.
  """
  side = (np.arange(1000) + 0.5) / 1000
  place, r = side[:, None], side[None, :]
  covered = np.minimum(place + r, 1) - np.maximum(place - r, 0)
  return float(np.mean((1 - covered) ** evaluations))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Searches of many objectives with one important axis, and with two."""
  best = np.random.default_rng(lab.seed).random((config.functions, 2))
  weights = {"one matters": np.array([1.0, 0.001]), "both matter": np.array([1.0, 1.0])}
  found = {
    which: {sampler: losses(config, sampler, best, each) for sampler in SAMPLERS}
    for which, each in weights.items()
  }
  one, both = ({sampler: each.mean() for sampler, each in by.items()} for by in found.values())
  side = int(config.evaluations**0.5)
  by_formula = distance_by_formula(config.evaluations) * 4 * (side - 1)
  near = ln.within_ratio(round(by_formula, 3), 0.15)
  claim, formula = ln.claims("R08"), f"{by_formula:.3f} (formula)"
  to_grid, to_random = "random's loss / the grid's", "Halton's loss / random's"
  gain, even = one["random"] / one["grid"], one["halton"] / one["random"]
  alike = both["random"] / both["grid"]
  return ln.Report(
    [
      claim(f"one parameter matters: {to_grid}", formula, gain, near),
      claim(f"one parameter matters: {to_random}", "more even", even, ln.at_most(1)),
      claim(f"both matter alike: {to_grid}", "no advantage", alike, ln.at_least(0.9)),
    ],
    [points_figure(config, lab.seed), losses_figure(found)],
  )


def points_figure(config: Config, seed: int) -> ln.Picture:
  """The points of each search, and their shadows on the important axis."""
  at = {sampler: points(sampler, seed, config.evaluations) for sampler in SAMPLERS}
  return ln.scatter_panels(
    {f"{name}: {len(set(each[:, 0]))} values": {"": each} for name, each in at.items()},
    title=f"{config.evaluations} evaluations, one parameter matters",
    x="parameter that matters",
    y="other parameter",
    shadows=True,
    caption="Where each search evaluates; the strokes above a panel, and the number in its title, "
    "are the different values of the parameter that matters.",
    file="points",
  )


def losses_figure(found: dict[str, dict[str, np.ndarray]]) -> ln.Picture:
  """Share of objectives that are solved to within a loss."""
  share = lambda values: (np.sort(values), np.arange(1, len(values) + 1) / len(values))
  panels = [
    ln.Panel("share of objectives", {sampler: share(each) for sampler, each in by.items()}, which)
    for which, by in found.items()
  ]
  return ln.function_curves(
    panels,
    title="Random against grid",
    x="loss of the best evaluation",
    caption="Left, one parameter matters; right, both alike. A curve is the share of the "
    "objectives of which a search came at least so near.",
    file="losses",
  )


experiment = ln.Experiment(Config, run)
