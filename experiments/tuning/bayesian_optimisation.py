"""Bayesian optimisation: a Gaussian process says where to evaluate next (R09).

Snoek, Larochelle and Adams 2012: the objective is modelled by a Gaussian process whose kernel is
Matern's with smoothness 5/2 and one length for each dimension; the next evaluation is where the
expected improvement is largest. Its hyper-parameters maximise the marginal likelihood (ML-II); the
paper averages over samples of them. For work there is `--sampler=gp`; this is the lesson.

The objective is Branin's function on [-5, 10] x [0, 15], with three minima of 0.397887. All seeds
run as lanes of one program: evaluations that are still to come are rows that a mask leaves out.

    python launch.py --experiment=bayesian_optimisation

Expected: within 0.01 of the minimum after 40 evaluations for at least 8 of 10 seeds; better than
random search at 25 evaluations.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key
from matplotlib.figure import Figure

import research as ln

MINIMUM = 0.39788735772973816  # Branin's, 10 / (8 pi)
MINIMISERS = ((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475))
LENGTHS = (0.03, 3.0)  # shortest and longest length of the kernel, in units of the range
AMPLITUDES = (0.1, 10.0)  # deviation of the process, in deviations of the observations
ZOOMS = (0.1, 0.02, 0.004)  # deviations of the candidates around the best one so far

Points = Float[Array, "n d"]
Values = Float[Array, " n"]
Present = Bool[Array, " n"]


@ln.pytree_config
class Config:
  """Settings of the search and of the model's fit."""

  evaluations: int = ln.static(40, "evaluations of one search", at_least=6)
  start: int = ln.static(5, "evaluations at random points before the model is asked", at_least=2)
  searches: int = ln.static(20, "searches", at_least=2)
  fit_steps: int = ln.static(50, "steps of Adam up the marginal likelihood", at_least=1)
  candidates: int = ln.static(1000, "points at which improvement is expected", at_least=1)
  noise: float = ln.traced(1e-6, "variance of an observation, in those of the objective", above=0)


class Kernel(NamedTuple):
  """The hyper-parameters."""

  lengths: Float[Array, " d"]
  amplitude: Float[Array, ""]


class Data(NamedTuple):
  """Observations, of which those that are present count."""

  x: Points
  y: Values
  present: Present


def matern(kernel: Kernel, a: Points, b: Float[Array, "m d"]) -> Float[Array, "n m"]:
  """Covariance of the process at a and at b: the paper's equation 13 (ARD Matern-5/2)."""
  squares = jnp.sum(((a[:, None, :] - b[None, :, :]) / kernel.lengths[None, None, :]) ** 2, axis=-1)
  r = jnp.sqrt(5 * squares + 1e-30)  # the root has no derivative at 0
  return kernel.amplitude**2 * (1 + r + r**2 / 3) * jnp.exp(-r)


def factor(kernel: Kernel, data: Data, noise: Array | float) -> Float[Array, "n n"]:
  """Cholesky factor of the observations' covariance; absent ones are independent, of variance 1."""
  both = data.present[:, None] & data.present[None, :]
  own = jnp.where(data.present, noise, 1.0)
  return jnp.linalg.cholesky(jnp.where(both, matern(kernel, data.x, data.x), 0) + jnp.diag(own))


def log_marginal(kernel: Kernel, data: Data, noise: Array | float) -> Float[Array, ""]:
  """log p(y | x, kernel), for y of mean 0; absent observations add nothing."""
  root = factor(kernel, data, noise)
  whitened = jax.scipy.linalg.solve_triangular(root, jnp.where(data.present, data.y, 0), lower=True)
  constant = 0.5 * math.log(2 * math.pi) * data.present.sum()
  return -0.5 * whitened @ whitened - jnp.log(jnp.diag(root)).sum() - constant


def posterior(
  kernel: Kernel, data: Data, noise: Array | float, at: Float[Array, "m d"]
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
  """Mean and deviation of the process at other points, given the observations."""
  root = factor(kernel, data, noise)
  cross = jnp.where(data.present[:, None], matern(kernel, data.x, at), 0)
  solve = lambda right: jax.scipy.linalg.solve_triangular(root, right, lower=True)
  whitened = solve(cross)
  variance = kernel.amplitude**2 - jnp.sum(whitened**2, axis=0)
  return whitened.T @ solve(data.y), jnp.sqrt(jnp.maximum(variance, 1e-16))


def expected_improvement(
  mean: Float[Array, " m"], deviation: Float[Array, " m"], best: Float[Array, ""]
) -> Float[Array, " m"]:
  """E max(best - f, 0) for f normal: (best - mean) Phi(z) + deviation phi(z), equation 2."""
  z = (best - mean) / deviation
  return deviation * (z * jax.scipy.stats.norm.cdf(z) + jax.scipy.stats.norm.pdf(z))


def between(bounds: tuple[float, float], place: Array) -> Array:
  """A number within bounds, on a log scale; a place of 0 is the middle."""
  low, high = bounds
  return low * (high / low) ** jax.nn.sigmoid(place)


def fitted(data: Data, noise: Array | float, steps: int) -> Kernel:
  """The kernel under which the observations are likeliest; Adam from two starts, the better end."""
  dimensions = data.x.shape[1]
  kernel_at = lambda place: Kernel(between(LENGTHS, place[:-1]), between(AMPLITUDES, place[-1]))
  loss = lambda place: -log_marginal(kernel_at(place), data, noise)
  adam = optax.adam(0.2)

  def step(carry: tuple, _: None) -> tuple[tuple, None]:
    place, state = carry
    updates, state = adam.update(jax.grad(loss)(place), state)
    return (place + updates, state), None

  def climb(start: Array) -> tuple[Array, Array]:
    (place, _), _ = jax.lax.scan(step, (start, adam.init(start)), length=steps)
    return place, loss(place)

  starts = jnp.outer(jnp.array([-0.5, 1.0]), jnp.ones(dimensions + 1)).at[:, -1].set(0.0)
  places, losses = jax.vmap(climb)(starts)
  return kernel_at(places[jnp.argmin(losses)])


def standardised(data: Data) -> Data:
  """Observations of mean 0 and deviation 1; absent ones are 0."""
  mean = data.y.mean(where=data.present)
  deviation = data.y.std(where=data.present)
  return data._replace(y=jnp.where(data.present, (data.y - mean) / deviation, 0))


def next_point(config: Config, data: Data, key: Key[Array, ""]) -> Float[Array, " d"]:
  """Where the expected improvement is largest: at random points, then ever closer to the best."""
  scaled = standardised(data)
  kernel = fitted(scaled, config.noise, config.fit_steps)
  best = scaled.y.min(where=data.present, initial=jnp.inf)
  improvement = lambda at: expected_improvement(*posterior(kernel, scaled, config.noise, at), best)
  shape = (config.candidates, data.x.shape[1])
  keys = jax.random.split(key, len(ZOOMS) + 1)
  at = jax.random.uniform(keys[0], shape, data.x.dtype)
  for zoom, zoom_key in zip(ZOOMS, keys[1:], strict=True):
    centre = at[jnp.argmax(improvement(at))]
    around = centre[None] + zoom * jax.random.normal(zoom_key, shape, data.x.dtype)
    at = jnp.clip(around.at[0].set(centre), 0, 1)
  return at[jnp.argmax(improvement(at))]


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
    point = next_point(config, data, jax.random.fold_in(model_key, number))
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
    figures = steps_figure(config), surface_figure(config, np.asarray(x[0]))
  early = min(25, config.evaluations) - 1
  model, chance = by_model[:, early], by_chance[:, early]
  return ln.Report(
    [
      ln.Claim(
        "R09",
        f"Branin: of {len(by_model[:10])} seeds, within 0.01 of the minimum after "
        f"{config.evaluations} evaluations",
        "8 of 10",
        float((by_model[:10, -1] < 0.01).sum()),
        ln.at_least(8),
      ),
      ln.Claim(
        "R09",
        f"median gap at {early + 1} evaluations as a share of random search's, "
        f"{config.searches} searches each",
        "beats random",
        float(np.median(model) / np.median(chance)),
        ln.at_most(1),
      ),
      ln.Claim(
        "R09",
        f"share of pairs of seeds in which it is nearer than random search at {early + 1}",
        "beats random",
        float((model[:, None] < chance[None, :]).mean()),
        ln.at_least(0.75),
        "%",
      ),
    ],
    [
      ln.Picture(
        "steps",
        figures[0],
        "Where the mean is low or the deviation is large there is something to gain; the dotted "
        "line is the next evaluation.",
      ),
      ln.Picture(
        "regret",
        regret_figure(config, by_model, by_chance),
        "After the random start the model closes in by orders of magnitude while chance stands "
        "still. Lines are medians, bands go from the lower to the upper quartile.",
      ),
      ln.Picture(
        "surface",
        figures[1],
        "The first search: a few looks everywhere, then most evaluations in the three valleys.",
      ),
    ],
  )


def curve(x: Float[Array, " n"]) -> Float[Array, " n"]:
  """The objective of the figure in one dimension: two valleys, the second one deeper."""
  return -jnp.cos(12 * (x - 0.25)) - 0.8 * x


def steps_figure(config: Config) -> Figure:
  """Every second of five steps in one dimension: posterior above, expected improvement below."""
  figure, grid = ln.new_figure("Where to evaluate next", 2, 3, panel_inches=(3.6, 2.5))
  grid_x = jnp.linspace(0, 1, 401)[:, None]
  x = jnp.array([0.05, 0.3, 0.95])
  for number in range(5):
    y = curve(x)
    data = standardised(Data(x[:, None], y, jnp.ones(len(x), bool)))
    kernel = jax.jit(fitted, static_argnums=2)(data, config.noise, config.fit_steps)
    mean, deviation = posterior(kernel, data, config.noise, grid_x)
    improvement = expected_improvement(mean, deviation, data.y.min()) * y.std()
    mean, deviation = mean * y.std() + y.mean(), deviation * y.std()
    following = grid_x[jnp.argmax(improvement), 0]
    if number % 2 == 0:
      above, below = grid[:, number // 2]
      above.fill_between(
        grid_x[:, 0],
        mean - 2 * deviation,
        mean + 2 * deviation,
        color="#d0e3f0",
        label="±2 deviations",
      )
      above.plot(grid_x[:, 0], curve(grid_x[:, 0]), color=ln.INK, linestyle=":", label="objective")
      above.plot(grid_x[:, 0], mean, color=ln.stroke(0).colour, label="mean")
      above.plot(x, y, "o", color=ln.INK, markersize=5, label="evaluations", zorder=3)
      below.fill_between(grid_x[:, 0], improvement, color="#f3d9a6")
      below.plot(
        grid_x[:, 0],
        improvement,
        color=ln.stroke(1).colour,
        linestyle="--",
        label="expected improvement",
      )
      for axes in (above, below):
        axes.axvline(float(following), color=ln.stroke(4).colour, linestyle=(0, (1, 1.5)))
        axes.set_xlim(-0.02, 1.02)
      above.set_ylim(-3, 2)
      below.set_ylim(bottom=0)
      ln.label_axes(above, "", "objective" if number == 0 else "", f"{len(x)} evaluations")
      ln.label_axes(below, "x", "expected improvement" if number == 0 else "")
    x = jnp.append(x, following)
  ln.legend_below(figure)
  return figure


def regret_figure(config: Config, by_model: np.ndarray, by_chance: np.ndarray) -> Figure:
  """Gaps against evaluations: medians, and bands between the quartiles."""
  figure, grid = ln.new_figure(f"Branin, {config.searches} searches", panel_inches=(6.2, 3.8))
  axes = grid[0, 0]
  numbers = np.arange(1, config.evaluations + 1)
  for index, (name, curves) in enumerate(
    (("Gaussian process", by_model), ("random search", by_chance))
  ):
    look = ln.stroke(index)
    low, middle, high = np.quantile(curves, (0.25, 0.5, 0.75), axis=0)
    axes.fill_between(numbers, low, high, color=look.colour, alpha=0.2, linewidth=0)
    axes.plot(
      numbers,
      middle,
      color=look.colour,
      linestyle=look.dashes,
      marker=look.marker,
      markevery=5,
      label=name,
    )
  axes.axhline(0.01, color=ln.INK, linewidth=0.8, linestyle=":", label="within 0.01")
  axes.axvline(
    config.start + 0.5, color=ln.INK, linewidth=0.8, label="the model is asked from here"
  )
  axes.set_yscale("log")
  ln.label_axes(axes, "evaluations", "best so far - minimum")
  ln.legend_below(figure)
  return figure


def surface_figure(config: Config, points: np.ndarray) -> Figure:
  """Branin's function with the points of one search."""
  side = np.linspace(0, 1, 121)
  units = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
  heights = np.asarray(jax.vmap(branin)(jnp.asarray(units))).reshape(121, 121)
  figure, grid = ln.new_figure("Branin's function, seed 0", panel_inches=(5.8, 5.0))
  axes = grid[0, 0]
  levels = (1, 3, 10, 20, 40, 80, 160)
  lines = axes.contour(15 * side - 5, 15 * side, heights, levels, colors="#909090", linewidths=0.8)
  axes.clabel(lines, fontsize=8, fmt="%g")
  x = points * 15 - np.array([5.0, 0.0])
  axes.plot(*x[: config.start].T, "s", color=ln.stroke(1).colour, label="random start")
  axes.plot(
    *x[config.start :].T, "o", color=ln.stroke(0).colour, markersize=5, label="by the model"
  )
  axes.plot(
    *np.array(MINIMISERS).T, "+", color=ln.INK, markersize=14, markeredgewidth=1.8, label="minima"
  )
  ln.label_axes(axes, "x1", "x2")
  axes.set_xlim(-5.3, 10.3)
  axes.set_ylim(-0.3, 15.3)
  axes.set_aspect("equal")
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
