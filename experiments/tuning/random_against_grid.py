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
  claim = ln.claims("R08")
  near, even, no_gain = ln.within_ratio(round(by_formula, 3), 0.15), ln.at_most(1), ln.at_least(0.9)
  halton = ratio("one matters", "halton") / ratio("one matters", "random")
  one, both = "one parameter matters", "both matter alike"
  of_one, of_both = ratio("one matters", "random"), ratio("both matter", "random")
  claims = [
    claim(f"{one}: random's loss / the grid's", f"{by_formula:.3f} (formula)", of_one, near),
    claim(f"{one}: Halton's loss / random's", "more even", halton, even),
    claim(f"{both}: random's loss / the grid's", "no advantage", of_both, no_gain),
  ]
  for name, scales in SCALES.items():
    low, high = scales.share_of
    kinds = {"linear": (scales.linear, scales.shares[0]), "its own": (scales.own, scales.shares[1])}
    for kind, (scale, due) in kinds.items():
      values = draw(scale, lab.seed, config.draws)
      what = f"{name} on {kind} scale: share between {low} and {high}"
      share = float(np.mean((values >= low) & (values <= high)))
      claims.append(claim(what, f"{due:.1%} (formula)", share, ln.within(due, 0.02), "%"))
    first, last = decades(name, np.array([scales.own.low, scales.own.high]))
    targets = rng.uniform(first, last, config.functions)
    own, linear = (
      nearest(config, name, kind, targets).mean() for kind in (scales.own, scales.linear)
    )
    what = f"{name}: decades to the best value, its own scale / linear scale"
    claims.append(claim(what, "the own scale is better", own / linear, ln.at_most(0.5)))
  return ln.Report(
    claims,
    [points_figure(config, lab.seed), losses_figure(found), scales_figure(config, lab.seed)],
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


def scales_figure(config: Config, seed: int) -> ln.Picture:
  """The values of one search on each scale, placed by their effect."""
  values = lambda name, scale: 10 ** decades(name, draw(scale, seed, config.evaluations))
  return ln.strip_panels(
    {
      scales.decades: {f"{scale}": values(name, scale) for scale in (scales.linear, scales.own)}
      for name, scales in SCALES.items()
    },
    title="The scale on which to draw",
    y="value, or what it leads to",
    log=True,
    share_y=False,
    caption="A column holds the values of one search, drawn on the scale that it names, over what "
    "their effect is linear in; the line is their geometric mean.",
    file="scales",
  )


experiment = ln.Experiment(Config, run)
