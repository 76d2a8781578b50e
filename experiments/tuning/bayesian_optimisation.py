"""Bayesian optimisation: a Gaussian process says where to evaluate next (R09).

Snoek, Larochelle and Adams 2012: the objective is modelled by a Gaussian process
(`research/analysis/gaussian_process.py`); the next evaluation is where the expected improvement is
largest. For work there is `--sampler=gp`; this is the lesson.

The objective is Branin's function on [-5, 10] x [0, 15], with three minima of 0.397887. All seeds
run as lanes of one program: evaluations that are still to come are rows that a mask leaves out.

    python launch.py --experiment=bayesian_optimisation

Expected: within 0.01 of the minimum after 40 evaluations for at least 8 of 10 seeds; better than
random search at 25 evaluations.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import research as ln
from research.analysis import gaussian_process as gp
from research.analysis.gaussian_process import Data, Points, Values

MINIMUM = 0.39788735772973816  # Branin's, 10 / (8 pi)
MINIMISERS = ((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475))


@ln.pytree_config
class Config:
  """Settings of the search and of the model's fit."""

  evaluations: int = ln.static(40, "evaluations of one search", at_least=6)
  start: int = ln.static(5, "evaluations at random points before the model is asked", at_least=2)
  searches: int = ln.static(20, "searches", at_least=2)
  fit_steps: int = ln.static(50, "steps of Adam up the marginal likelihood", at_least=1)
  candidates: int = ln.static(1000, "points at which improvement is expected", at_least=1)
  noise: float = ln.traced(1e-6, "variance of an observation, in those of the objective", above=0)


def branin(unit: Float[Array, " 2"]) -> Float[Array, ""]:
  """Branin's function of a point of the unit square, which stands for [-5, 10] x [0, 15]."""
  x1, x2 = 15 * unit[0] - 5, 15 * unit[1]
  valley = x2 - 5.1 / (4 * math.pi**2) * x1**2 + 5 / math.pi * x1 - 6
  return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * jnp.cos(x1) + 10


def search(config: Config, key: Key[Array, ""]) -> tuple[Points, Values]:
  """All points in the order of their evaluation, and Branin's function there."""
  start_key, model_key = jax.random.split(key)
  x = jax.random.uniform(start_key, (config.evaluations, 2), jnp.result_type(float))
  y = jax.vmap(branin)(x)

  def step(number: Int[Array, ""], drawn: tuple[Points, Values]) -> tuple[Points, Values]:
    x, y = drawn
    data = Data(x, y, jnp.arange(config.evaluations) < number)
    key = jax.random.fold_in(model_key, number)
    point = gp.most_promising(data, config.noise, config.fit_steps, config.candidates, key)
    return x.at[number].set(point), y.at[number].set(branin(point))

  return jax.lax.fori_loop(config.start, config.evaluations, step, (x, y))


def at_random(config: Config, key: Key[Array, ""]) -> Values:
  """Branin's function at uniform points."""
  x = jax.random.uniform(key, (config.evaluations, 2), jnp.result_type(float))
  return jax.vmap(branin)(x)


def gaps(y: Float[Array, "seed n"]) -> np.ndarray:
  """Best so far less the minimum, [seed, evaluations]."""
  return np.minimum.accumulate(np.asarray(y), axis=1) - MINIMUM


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All searches at once, and random search beside them, in float64."""
  with jax.enable_x64(True):
    keys = jax.random.split(lab.key("searches"), config.searches)
    x, y = jax.jit(jax.vmap(search, in_axes=(None, 0)))(config, keys)
    random_keys = jax.random.split(lab.key("random"), config.searches)
    by_model, by_chance = gaps(y), gaps(jax.vmap(at_random, in_axes=(None, 0))(config, random_keys))
    pictures = [
      steps_figure(config),
      regret_figure(config, by_model, by_chance),
      surface_figure(config, np.asarray(x[0])),
    ]
  early = min(25, config.evaluations)
  model, chance = by_model[:, early - 1], by_chance[:, early - 1]
  near = float((by_model[:10, -1] < 0.01).sum())
  ratio = float(np.median(model) / np.median(chance))
  wins = float((model[:, None] < chance[None, :]).mean())
  claim = ln.claims("R09")
  of_seeds = f"Branin: of {len(by_model[:10])} seeds, within 0.01 of the minimum after"
  of_median = f"median gap at {early} evaluations as a share of random search's, {len(x)}"
  of_pairs = f"share of pairs of seeds in which it is nearer than random search at {early}"
  claims = [
    claim(f"{of_seeds} {config.evaluations} evaluations", "8 of 10", near, ln.at_least(8)),
    claim(f"{of_median} searches each", "beats random", ratio, ln.at_most(1)),
    claim(of_pairs, "beats random", wins, ln.at_least(0.75), "%"),
  ]
  return ln.Report(claims, pictures)


def curve(x: Float[Array, " n"]) -> Float[Array, " n"]:
  """The objective of the figure in one dimension: two valleys, the second one deeper."""
  return -jnp.cos(12 * (x - 0.25)) - 0.8 * x


def steps_figure(config: Config) -> ln.Picture:
  """Every second of five steps in one dimension: posterior above, expected improvement below."""
  at, x = jnp.linspace(0, 1, 401), jnp.array([0.05, 0.3, 0.95])
  above, below = list[ln.Panel](), list[ln.Panel]()
  outlook = jax.jit(gp.outlook, static_argnums=2)
  for number in range(5):
    y = curve(x)
    data = Data(x[:, None], y, jnp.ones(len(x), bool))
    mean, deviation, gain = outlook(data, config.noise, config.fit_steps, at[:, None])
    best = jnp.argmax(gain)
    if number % 2 == 0:
      curves = {"mean": (at, mean), "objective": (at, curve(at))}
      band = {"mean": (mean - 2 * deviation, mean + 2 * deviation)}
      name, points = f"{len(x)} evaluations", {"evaluations": (x, y)}
      above.append(ln.Panel("objective", curves, name, points=points, y_range=(-3, 2), bands=band))
      dot = (float(at[best]), float(gain[best]))
      below.append(ln.Panel("expected improvement", {"improvement": (at, gain)}, dot=dot))
    x = jnp.append(x, at[best])
  return ln.function_curves(
    [*above, *below],
    title="Where to evaluate next",
    x="x",
    rows=2,
    panel_inches=(3.6, 2.5),
    caption="The process after some evaluations, with a band of two deviations, above the "
    "improvement that it expects; the ring is the next evaluation.",
    file="steps",
  )


def regret_figure(config: Config, by_model: np.ndarray, by_chance: np.ndarray) -> ln.Picture:
  """Gaps against evaluations: medians, and bands between the quartiles."""
  numbers = np.arange(1, config.evaluations + 1)
  searches = {"Gaussian process": by_model, "random search": by_chance}
  quartiles = {name: np.quantile(gap, (0.25, 0.5, 0.75), axis=0) for name, gap in searches.items()}
  curves = {name: (numbers, middle) for name, (_, middle, _) in quartiles.items()}
  bands = {name: (low, high) for name, (low, _, high) in quartiles.items()}
  return ln.function_curves(
    [ln.Panel("best so far - minimum", curves, log="y", bands=bands, levels={"0.01": 0.01})],
    title=f"Branin, {config.searches} searches",
    x="evaluations",
    panel_inches=(6.2, 3.8),
    caption="Lines are medians, bands go from the lower to the upper quartile. The model is asked "
    f"after {config.start} evaluations at random points.",
    file="regret",
  )


def surface_figure(config: Config, units: np.ndarray) -> ln.Picture:
  """Branin's function with the points of one search."""
  side = np.linspace(0, 1, 121)
  heights = jax.vmap(jax.vmap(branin))(jnp.stack(jnp.meshgrid(side, side), axis=-1))
  points = 15 * units - np.array([5.0, 0.0])
  first, rest = points[: config.start], points[config.start :]
  return ln.scatter_panels(
    {"": {"by the model": rest, "random start": first, "minima": np.array(MINIMISERS)}},
    title="Branin's function, the first search",
    x="x1",
    y="x2",
    contours=ln.Contours(15 * side - 5, 15 * side, heights, (1, 3, 10, 20, 40, 80, 160)),
    panel_inches=(5.8, 5.0),
    caption="Where the first search evaluated Branin's function, over its contours.",
    file="surface",
  )


experiment = ln.Experiment(Config, run)
