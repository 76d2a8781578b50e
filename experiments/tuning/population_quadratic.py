"""Population based training on its paper's quadratic: two half-blind workers need both steps (R10).

Jaderberg et al. 2017, "Population based training of neural networks", section 4.1 and figure 2:
Q(a, b) = 1.2 - a^2 - b^2 is to be climbed from (0.9, 0.9) by workers that follow the gradient of
1.2 - h_a a^2 - h_b b^2 in place of it. One begins with h = (1, 0), the other with h = (0, 1), so
that neither gets beyond 1.2 - 0.81 alone. To exploit, the worse takes the place and the h of the
better; to explore, every worker adds noise to its h. How often they do so, how much noise, and that
it is added (no factor leads away from 0) is ours.

    python launch.py --experiment=population_quadratic

Expected: 0.39 with neither step and with exploiting alone; with both 99 of 100 populations get
above 1.19, exploring alone 15 of 100; a few seconds.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import research as ln

OPTIMUM, START, WORKERS = 1.2, 0.9, 2
WAYS = {  # whether to exploit, and whether to explore
  "neither": (False, False),
  "exploiting alone": (True, False),
  "exploring alone": (False, True),
  "both": (True, True),
}
SOLVED = 1.19


@ln.pytree_config
class Config:
  """The paper's problem."""

  rate: float = ln.traced(0.01, "step size", above=0)
  noise: float = ln.traced(0.1, "standard deviation of what exploring adds to h", at_least=0)
  ready_every: int = ln.static(4, "steps until the workers compare themselves", at_least=1)
  steps: int = ln.static(200, "of each worker", at_least=1)
  populations: int = ln.static(100, "of two workers, each with noise of its own", at_least=2)


class Workers(NamedTuple):
  """The places of two workers, and what they see of each coordinate."""

  place: Float[Array, "worker 2"]
  sight: Float[Array, "worker 2"]


def height(place: Float[Array, "*worker 2"]) -> Float[Array, "*worker"]:
  """Q, which no worker knows the gradient of."""
  return OPTIMUM - jnp.sum(place**2, axis=-1)


def exploit(workers: Workers) -> Workers:
  """The lower worker becomes a copy of the higher one; equal ones stay."""
  heights = height(workers.place)
  source = jnp.where(heights < heights.max(), jnp.argmax(heights), jnp.arange(WORKERS))
  return jax.tree.map(lambda each: each[source], workers)


def explore(workers: Workers, noise: float | Array, key: Key[Array, ""]) -> Workers:
  """Noise is added to what every worker sees, within [0, 1]."""
  moved = workers.sight + noise * jax.random.normal(key, workers.sight.shape)
  return workers._replace(sight=jnp.clip(moved, 0, 1))


def climb(
  config: Config, way: tuple[bool, bool], key: Key[Array, ""]
) -> Float[Array, "steps+1 worker 2"]:
  """The places of two workers, step after step."""
  start = Workers(jnp.full((WORKERS, 2), START), jnp.eye(WORKERS))

  def step(workers: Workers, number: Array) -> tuple[Workers, Array]:
    place = workers.place - 2 * config.rate * workers.sight * workers.place
    ready = workers = workers._replace(place=place)
    if way[0]:
      ready = exploit(ready)
    if way[1]:
      ready = explore(ready, config.noise, jax.random.fold_in(key, number))
    is_ready = number % config.ready_every == 0
    workers = jax.tree.map(functools.partial(jnp.where, is_ready), ready, workers)
    return workers, workers.place

  places = jax.lax.scan(step, start, jnp.arange(1, config.steps + 1))[1]
  return jnp.concatenate([start.place[None], places])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Many populations of each kind, with the same noise for all kinds."""
  keys = jax.random.split(lab.key("noise"), config.populations)
  places = {
    name: np.asarray(jax.jit(jax.vmap(functools.partial(climb, config, way)))(keys))
    for name, way in WAYS.items()
  }
  best = {name: np.asarray(height(jnp.asarray(each))).max(axis=-1) for name, each in places.items()}
  last = {name: float(each[:, -1].mean()) for name, each in best.items()}
  solved = {name: float(np.mean(each[:, -1] >= SOLVED)) for name, each in best.items()}
  exploiting, exploring = last["exploiting alone"], solved["exploring alone"]
  claim, share, alone = (
    ln.claims("R10"),
    f"populations above {SOLVED}",
    round(OPTIMUM - START**2, 6),
  )
  flat, top = ln.within(alone, 0.01), ln.at_least(SOLVED)
  most, few = ln.at_least(0.9), ln.at_most(0.1)
  claims = [
    claim("quadratic, neither step: Q", "1.2 - 0.81", last["neither"], flat),
    claim("quadratic, exploiting alone: Q", "not solved", exploiting, flat),
    claim("quadratic, both: Q, mean", "1.2", last["both"], top),
    claim(f"quadratic, both: {share}", "solved", solved["both"], most, "%"),
    claim(f"quadratic, exploring alone: {share}", "only both solve it", exploring, few, "%"),
  ]
  as_rows = lambda heights: [{"step": step, "Q": value} for step, value in enumerate(heights)]
  heights = ln.compare_curves(
    {name: [as_rows(population) for population in each.tolist()] for name, each in best.items()},
    "Q",
    title="Population based training, step by step",
    y="Q of the higher worker",
    caption="The higher of the two workers; lines are means over populations.",
    file="heights",
  )
  return ln.Report(claims, [paths({name: each[0] for name, each in places.items()}), heights])


def paths(places: dict[str, np.ndarray]) -> ln.Picture:
  """Both workers' ways [step, worker, 2] over the hill, a panel for each kind."""
  ticks = np.linspace(0, 1, 60)
  workers = lambda way: {f"worker {number + 1}": way[:, number] for number in range(WORKERS)}
  return ln.scatter_panels(
    {name: workers(way) for name, way in places.items()},
    title="Two workers on the quadratic",
    x="a",
    y="b",
    contours=ln.Contours(ticks, ticks, OPTIMUM - ticks[:, None] ** 2 - ticks[None] ** 2),
    panel_inches=(2.8, 2.9),
    caption="The way of two workers from the upper right, over the hill's contours; its top is in "
    "the lower left.",
    file="paths",
  )


experiment = ln.Experiment(Config, run)
