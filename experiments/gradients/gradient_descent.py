"""Gradient descent, and what becomes of it when the learning rate is wrong (L05).

Saito 2016, section 4.4.1: x_0^2 + x_1^2 from (-3, 4) by numerical gradients. Learning rate 0.1
shrinks x by 0.8 a step, 1e-10 hardly moves it, and 10 throws it out, each step 19 times as far and
to the other side. The book's run does not go on to 3 * 19^100 = 2e128 but stands still at 2.6e13:
out there x + h is x, and the numerical gradient is lost in rounding. Figure 3.3 shows 20 steps.

The rates are a traced argument, so that all descents are lanes of one program: `vmap` of a `scan`.

    python launch.py --experiment=gradient_descent

Expected: the book's end points (float64); with rate 0.1, (-3, 4) * 0.8^n after each step n.
About 3 seconds on two CPU cores.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import research as ln
from research.figures.fields import contour_paths

START = (-3.0, 4.0)


@ln.pytree_config
class Config:
  """The book's settings."""

  learning_rate: float = ln.traced(0.1, "the rate that works", above=0)
  too_large: float = ln.traced(10.0, "one that diverges", above=0)
  too_small: float = ln.traced(1e-10, "one that stands still", above=0)
  steps: int = ln.static(100, "steps of each", at_least=1)
  drawn_steps: int = ln.static(20, "steps of the path in the figure", at_least=1)
  h: float = ln.traced(1e-4, "half the distance of the difference quotients", above=0)


class Lanes(NamedTuple):
  """One descent each: its rate, and the number of steps after which it stops."""

  learning_rate: Float[Array, "..."]
  steps: Int[Array, "..."]


def bowl(x: Float[Array, " n"]) -> Float[Array, ""]:
  """The sum of squares, whose gradient is 2x."""
  return jnp.sum(x**2)


def descend(
  gradient: Callable[[Array], Array], lane: Lanes, most_steps: int
) -> Float[Array, "step n"]:
  """The points of one descent, the start included; after its last step it stays where it is."""

  def step(x: Array, number: Array) -> tuple[Array, Array]:
    moved = x - lane.learning_rate * gradient(x)
    x = jnp.where(number < lane.steps, moved, x)
    return x, x

  start = jnp.array(START)
  _, points = jax.lax.scan(step, start, jnp.arange(most_steps))
  return jnp.concatenate([start[None], points])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Four lanes by numerical gradients, and the diverging one by exact gradients beside them."""
  del lab
  rates = (config.learning_rate, config.too_large, config.too_small, config.learning_rate)
  lengths = (config.steps, config.steps, config.steps, config.drawn_steps)
  most = max(lengths)
  with jax.enable_x64(True):
    lanes = Lanes(jnp.array(rates), jnp.array(lengths))
    all_by = lambda gradient: jax.vmap(lambda lane: descend(gradient, lane, most))
    by = lambda gradient: np.asarray(jax.jit(all_by(gradient))(lanes))
    numeric = by(lambda x: ln.central_differences(bowl, x, config.h))
    exact = by(jax.grad(bowl))[1]
  ends = numeric[:, -1]
  factor = 1 - 2 * config.learning_rate
  analytic = np.array(START) * factor ** np.arange(config.steps + 1)[:, None]
  error = np.abs(numeric[0, : config.steps + 1] / analytic - 1).max()
  golden = (
    ("rate 0.1, 100 steps", (-6.11e-10, 8.15e-10), lambda x: ln.within_ratio(x, 0.001)),
    # Where it stops is made of roundings, and they depend on what a compiler fuses.
    ("rate 10, 100 steps", (-2.59e13, -1.29e12), lambda x: ln.within_ratio(x, 0.01)),
    ("rate 1e-10, 100 steps", (-2.99999994, 3.99999992), lambda x: ln.within(x, 5e-9)),
    ("rate 0.1, 20 steps", (-0.03459, 0.04612), lambda x: ln.within(x, 5e-6)),
  )
  claim, claims = ln.claims("L05"), []
  for (what, values, bar), end in zip(golden, ends, strict=True):
    for place, (value, ours) in enumerate(zip(values, end, strict=True)):
      claims.append(claim(f"{what}: x{place}", f"{value:g}", ours, bar(value)))
  what = "rate 0.1, all steps: against (-3, 4) * 0.8^n, largest relative error"
  claims.append(claim(what, "equal", error, ln.at_most(1e-9)))
  what, size = "rate 10 by exact gradients: log10 of |x0|", np.log10(abs(exact[-1, 0]))
  claims.append(claim(what, "log10(3 * 19^100) = 128.35", size, ln.within(128.35, 0.01)))
  return ln.Report(claims, [path(config, numeric[3]), distances(rates, numeric, exact)])


def path(config: Config, points: np.ndarray) -> ln.Picture:
  """The first steps of the descent that works."""
  ticks = np.linspace(-4.5, 4.5, 181)
  return contour_paths(
    ticks,
    ticks,
    ticks[None] ** 2 + ticks[:, None] ** 2,
    {f"rate {config.learning_rate:g}": points[: config.drawn_steps + 1]},
    title="Gradient descent on $x_0^2 + x_1^2$",
    axis_names=("$x_0$", "$x_1$"),
    levels=(1, 4, 9, 16, 25),
    note=f"{config.drawn_steps} steps from (-3, 4)",
    caption="Figure 3.3: each step leads straight towards the minimum or away from it, "
    f"{abs(1 - 2 * config.learning_rate):g} times as long as the last.",
    file="descent",
  )


def distances(rates: tuple[float, ...], numeric: np.ndarray, exact: np.ndarray) -> ln.Picture:
  """The distance of every descent from the minimum after each step."""
  runs = {f"rate {rate:g}": points for rate, points in zip(rates[:3], numeric[:3], strict=True)}
  runs[f"rate {rates[1]:g}, exact"] = exact
  curves = {name: (np.arange(len(x)), np.linalg.norm(x, axis=1)) for name, x in runs.items()}
  return ln.function_curves(
    [ln.Panel("distance from the minimum", curves, log="y")],
    title="Three learning rates",
    x="step",
    caption="A rate above 1 throws the point farther out at every step, until the numerical "
    "gradient is lost in rounding; the exact one goes on.",
    file="learning_rates",
  )


experiment = ln.Experiment(Config, run)
