"""The scale on which to draw a hyper-parameter (R08).

Ng, "Improving deep neural networks", week 3. Learning rates from 0.0001 to 1 drawn on a linear
scale lie above 0.1 nine times out of ten; betas belong on the scale of 1 - beta = 10^r, since 0.999
and 0.9995 average over 1,000 and 2,000 steps, 0.9 and 0.9005 over 10 either way. The scales are
those of `--sweep`; `random_against_grid` compares samplers.

    python launch.py --experiment=search_scales

Expected: the shares that follow from the formulas; on its own scale a search comes at least twice
as near to the best value, in decades; a few seconds.
"""

from typing import NamedTuple

import numpy as np

import research as ln
from research.sweep.search import suggest
from research.sweep.space import Range, Space


@ln.pytree_config
class Config:
  """Settings of the searches."""

  functions: int = ln.static(400, "searches, each with its best value elsewhere", at_least=2)
  evaluations: int = ln.static(25, "values that each of them tries", at_least=4)
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
  """Shares of the draws on both scales, and how near a search on each comes to the best value."""
  claim, rng, claims = ln.claims("R08"), np.random.default_rng(lab.seed), []
  for name, (linear, own, _, (low, high), dues) in SCALES.items():
    for kind, scale, due in zip(("linear", "its own"), (linear, own), dues, strict=True):
      values = draw(scale, lab.seed, config.draws)
      what = f"{name} on {kind} scale: share between {low} and {high}"
      share = float(np.mean((values >= low) & (values <= high)))
      claims.append(claim(what, f"{due:.1%} (formula)", share, ln.within(due, 0.02), "%"))
    first, last = decades(name, np.array([own.low, own.high]))
    best = rng.uniform(first, last, config.functions)
    ratio = nearest(config, name, own, best).mean() / nearest(config, name, linear, best).mean()
    what = f"{name}: decades to the best value, its own scale / linear scale"
    claims.append(claim(what, "the own scale is better", ratio, ln.at_most(0.5)))
  tried = lambda name, scale: 10 ** decades(name, draw(scale, lab.seed, config.evaluations))
  strips = ln.strip_panels(
    {
      scales.decades: {f"{scale}": tried(name, scale) for scale in (scales.linear, scales.own)}
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
  return ln.Report(claims, [strips])


experiment = ln.Experiment(Config, run)
