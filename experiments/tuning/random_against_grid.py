"""Random against grid, and the scale on which to draw (R08).

Bergstra and Bengio 2012, "Random search for hyper-parameter optimization", figure 1; Ng's course 2,
week 3. With 25 evaluations a 5 x 5 grid tries 5 values of the parameter that matters, random search
25, and it need not be known which one that is. Where both matter alike nothing is gained. Learning
rates from 0.0001 to 1 drawn on a linear scale lie above 0.1 nine times out of ten; betas belong on
the scale of 1 - beta = 10^r, since 0.999 and 0.9995 average over 1,000 and 2,000 steps, 0.9 and
0.9005 over 10 either way.

The samplers and scales are those of `--sweep`.

    python launch.py --experiment=random_against_grid

Expected: a third of the grid's distance to the best value, as the formula says; about 10 seconds.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

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
  draws: int = ln.static(10_000, "values drawn on each scale", at_least=100)


class Scales(NamedTuple):
  """Two ways to draw a parameter, and what its effect is linear in."""

  linear: Range
  own: Range
  decades: str  # what is counted in powers of ten
  share_of: tuple[float, float]  # a part of the range, whose share of the draws is counted
  shares: tuple[float, float]  # that is due on the linear and on the own scale, by hand


SCALES = {
  "learning rate": Scales(
    Range("linear", 1e-4, 1.0), Range("log", 1e-4, 1.0), "learning rate", (0.1, 1.0), (0.9, 0.25)
  ),
  "beta": Scales(
    Range("linear", 0.9, 0.999),
    Range("oneminus", 0.9, 0.999),
    "steps averaged",
    (0.99, 0.999),
    (0.091, 0.5),
  ),
}


def points(sampler: str, seed: int, evaluations: int) -> np.ndarray:
  """Where a search of the unit square evaluates, [evaluations, 2]."""
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


def draw(scale: Range, seed: int, count: int) -> np.ndarray:
  """Values of one parameter by random search."""
  space = Space(None, {"value": scale})
  return np.array([suggest("random", space, seed, n, [], count)["value"] for n in range(count)])


def decades(name: str, values: np.ndarray) -> np.ndarray:
  """log10 of what matters: of the rate, or of 1 / (1 - beta), the steps that are averaged."""
  return np.log10(values) if name == "learning rate" else -np.log10(1 - values)


def nearest(config: Config, name: str, scale: Range, best: np.ndarray) -> np.ndarray:
  """Decades between the best value, one for each search, and the nearest that was tried."""
  tried = decades(name, draw(scale, 1, config.evaluations * len(best)))
  return np.abs(tried.reshape(len(best), -1) - best[:, None]).min(axis=1)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Searches of many objectives with one important axis, with two, and draws on both scales."""
  rng = np.random.default_rng(lab.seed)
  best = rng.random((config.functions, 2))
  weights = {"one matters": np.array([1.0, 0.001]), "both matter": np.array([1.0, 1.0])}
  found = {
    which: {sampler: losses(config, sampler, best, each) for sampler in SAMPLERS}
    for which, each in weights.items()
  }
  ratio = lambda which, one: found[which][one].mean() / found[which]["grid"].mean()
  side = int(config.evaluations**0.5)
  by_formula = distance_by_formula(config.evaluations) * 4 * (side - 1)
  row = lambda what, source, ours, bar, unit="": ln.Claim("R08", what, source, ours, bar, unit)
  claims = [
    row(
      "one parameter matters: random's loss / the grid's",
      f"{by_formula:.3f} (formula)",
      ratio("one matters", "random"),
      ln.within_ratio(round(by_formula, 3), 0.15),
    ),
    row(
      "one parameter matters: Halton's loss / random's",
      "more even",
      ratio("one matters", "halton") / ratio("one matters", "random"),
      ln.at_most(1),
    ),
    row(
      "both matter alike: random's loss / the grid's",
      "no advantage",
      ratio("both matter", "random"),
      ln.at_least(0.9),
    ),
  ]
  for name, scales in SCALES.items():
    low, high = scales.share_of
    kinds = ("linear", "its own"), (scales.linear, scales.own), scales.shares
    for kind, scale, expected in zip(*kinds, strict=True):
      values = draw(scale, lab.seed, config.draws)
      claims.append(
        row(
          f"{name} on {kind} scale: share between {low} and {high}",
          f"{expected:.1%} (formula)",
          float(np.mean((values >= low) & (values <= high))),
          ln.within(expected, 0.02),
          "%",
        )
      )
    first, last = decades(name, np.array([scales.own.low, scales.own.high]))
    targets = rng.uniform(first, last, config.functions)
    distance = {
      kind: nearest(config, name, scale, targets).mean()
      for kind, scale in (("linear", scales.linear), ("own", scales.own))
    }
    claims.append(
      row(
        f"{name}: decades to the best value, its own scale / linear scale",
        "the own scale is better",
        distance["own"] / distance["linear"],
        ln.at_most(0.5),
      )
    )
  return ln.Report(
    claims,
    [
      ln.Picture(
        "points",
        points_figure(config, lab.seed),
        "Seen from the axis that matters (marks above each panel) the grid's columns fall onto one "
        "value each; random search and Halton's sequence try a new one every time.",
      ),
      ln.Picture(
        "losses",
        losses_figure(found),
        "Left, one parameter matters: the grid's columns are far from most best values. Right, "
        "both matter alike: the grid is as good as random search, which may leave a large hole.",
      ),
      ln.Picture(
        "scales",
        scales_figure(config, lab.seed),
        "Each row shows values of one search on the scale of their effect. Linear draws crowd into "
        "one decade; on the own scale every decade gets its share.",
      ),
    ],
  )


def points_figure(config: Config, seed: int) -> Figure:
  """The points of each search, and their shadows on the important axis."""
  title = f"{config.evaluations} evaluations, one parameter matters"
  figure, grid = ln.new_figure(title, 1, len(SAMPLERS), panel_inches=(3.5, 3.8))
  for axes, sampler in zip(grid[0], SAMPLERS, strict=True):
    at = points(sampler, seed, config.evaluations)
    axes.plot(*at.T, "o", color=ln.stroke(0).colour, markersize=6, clip_on=False)
    axes.vlines(at[:, 0], 1.06, 1.14, color=ln.INK, linewidth=1.4, clip_on=False)
    count = len(set(at[:, 0]))
    ln.label_axes(axes, "parameter that matters", "other parameter", f"{sampler}: {count} values")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.14)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_aspect("equal")
  return figure


def losses_figure(found: dict[str, dict[str, np.ndarray]]) -> Figure:
  """Share of objectives that are solved to within a loss."""
  share = lambda values: (np.sort(values), np.arange(1, len(values) + 1) / len(values))
  panels = [
    ln.Panel("share of objectives", {sampler: share(each) for sampler, each in by.items()}, which)
    for which, by in found.items()
  ]
  return ln.function_curves(
    panels, title="Random against grid", x="loss of the best evaluation", caption=""
  ).figure


def scales_figure(config: Config, seed: int) -> Figure:
  """The values of one search on each scale, placed by their effect."""
  figure, grid = ln.new_figure("The scale on which to draw", 1, 2, panel_inches=(4.6, 2.6))
  for axes, (name, scales) in zip(grid[0], SCALES.items(), strict=True):
    for height, scale in enumerate((scales.own, scales.linear)):
      values = draw(scale, seed, config.evaluations)
      effect = 10 ** decades(name, values)
      look = ln.stroke(1 - height)
      axes.plot(effect, np.full(len(effect), height), look.marker, color=look.colour, alpha=0.7)
    axes.set_xscale("log")
    axes.set_ylim(-0.6, 1.6)
    axes.set_yticks([0, 1], [f"{scales.own}", f"{scales.linear}"])
    ln.label_axes(axes, scales.decades, "", name)
  return figure


experiment = ln.Experiment(Config, run)
